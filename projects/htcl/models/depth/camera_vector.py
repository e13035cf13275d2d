"""The camera as a vector of numbers, for networks that depend on it."""

from __future__ import annotations

import torch
from torch import Tensor

from htcl.geometry import Camera

CAMERA_VECTOR_LENGTH = 30


def camera_vector(camera: Camera) -> Tensor:
    """Lists the calibration of each camera.

    The order is: intrinsics fx, fy, cx, cy and fourth column; the upper two rows of the image
    transform; the rotation of the voxel frame's augmentation (upper 2x2 and the z scale); the
    extrinsics row by row. Nothing is scaled: focal lengths stay in pixels.

    Source: "BEVDepth: Acquisition of Reliable Depth for Multi-view 3D Object Detection" (Y. Li et
    al., AAAI 2023), "Camera-aware Depth Prediction".

    Args:
        camera: Cameras (M,).

    Returns:
        (M, 30) float32.
    """
    k, p, a = camera.intrinsics, camera.image_transform, camera.augmentation
    numbers = [
        *(k[:, row, col] for row, col in ((0, 0), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))),
        *(p[:, row, col] for row, col in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2))),
        *(a[:, row, col] for row, col in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 2))),
        *camera.reference_from_camera[:, :3, :].flatten(1).unbind(1),
    ]
    return torch.stack([number.float() for number in numbers], dim=1)
