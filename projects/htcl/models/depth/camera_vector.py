"""The camera as a vector of numbers, for networks that depend on it."""

from __future__ import annotations

import torch
from torch import Tensor

CAMERA_VECTOR_LENGTH = 30


def camera_vector(
    intrinsics: Tensor,
    pixel_transform: Tensor,
    lidar_from_camera: Tensor,
    augmented_from_lidar: Tensor,
) -> Tensor:
    """Lists the calibration of one camera.

    The order is: intrinsics fx, fy, cx, cy and fourth column; the upper two rows of the image
    resize and crop; the rotation of the voxel frame's augmentation (upper 2x2 and the z scale); the
    extrinsics row by row. Nothing is scaled: focal lengths stay in pixels.

    Source: "BEVDepth: Acquisition of Reliable Depth for Multi-view 3D Object Detection" (Y. Li et
    al., AAAI 2023), "Camera-aware Depth Prediction".

    Args:
        intrinsics: (B, 4, 4) camera-0 point -> original pixel.
        pixel_transform: (B, 3, 3) original pixel -> network pixel.
        lidar_from_camera: (B, 4, 4).
        augmented_from_lidar: (B, 4, 4).

    Returns:
        (B, 30) float32.
    """
    k, p, a = intrinsics, pixel_transform, augmented_from_lidar
    numbers = [
        *(k[:, row, col] for row, col in ((0, 0), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))),
        *(p[:, row, col] for row, col in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2))),
        *(a[:, row, col] for row, col in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 2))),
        *lidar_from_camera[:, :3, :].flatten(1).unbind(1),
    ]
    return torch.stack(numbers, dim=1).float()
