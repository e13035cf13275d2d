"""KITTI-like cameras and motions at toy size, for tests of matching between views."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from htcl.geometry import Camera, PixelRule


def make_cameras(
    intrinsics: Tensor,
    image_transform: Tensor,
    size: tuple[int, int],
    pixels: PixelRule = "centres",
) -> Camera:
    """Cameras (M,) of matrices (M, 4, 4) and (M, 3, 3), each its own reference frame."""
    identity = torch.eye(4).repeat(len(intrinsics), 1, 1)
    return Camera(intrinsics, identity, image_transform, identity, size, pixels)


def kitti_matrix() -> Tensor:
    """Left colour camera of KITTI (4, 4), whose fourth column moves the point from camera 0."""
    matrix = torch.eye(4)
    matrix[:3] = torch.tensor(
        [[718.856, 0, 607.193, 45.382], [0, 718.856, 185.216, -0.113], [0, 0, 1, 0.0038]]
    )
    return matrix


def motion(rotvec: Sequence[float], translation: Sequence[float]) -> Tensor:
    """Rigid motion (4, 4) of a rotation vector in radians and a translation in metres."""
    out = np.eye(4)
    out[:3, :3] = Rotation.from_rotvec(rotvec).as_matrix()
    out[:3, 3] = translation
    return torch.from_numpy(out).float()
