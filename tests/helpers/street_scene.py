"""A small made-up street, shared by the tests of pictures, pages and files."""

from __future__ import annotations

import numpy as np

from htcl.geometry import VoxelGrid

ORIGIN = np.array([0.0, -6.4, -2.0])
SIZE = 0.8
GRID = VoxelGrid(tuple(ORIGIN), SIZE, (16, 16, 8))
IMAGE = (48, 160)
# x right = -y left, y down = -z up, z front = x front; the camera sits 0.3 m before the lidar.
LIDAR_FROM_CAMERA = np.array(
    [[0.0, 0, 1, 0.3], [-1, 0, 0, 0], [0, -1, 0, -0.1], [0, 0, 0, 1]], dtype=np.float64
)
# The 4th column is not zero, like that of KITTI's P2.
INTRINSICS = np.array(
    [[90.0, 0, 79.5, 5.0], [0, 90, 23.5, -0.5], [0, 0, 1, 0.003], [0, 0, 0, 1]], dtype=np.float64
)


def street() -> np.ndarray:
    """A road with two walls and a car, labels uint8 (16, 16, 8)."""
    labels = np.zeros((16, 16, 8), dtype=np.uint8)
    labels[:, 4:12, 0] = 9
    labels[:, :2, :5] = 13
    labels[:, 14:, :4] = 15
    labels[8:11, 5:8, 1:3] = 1
    return labels
