"""The sensor rig: KITTI-like stereo cameras and a 64-beam lidar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from trimesh.transformations import euler_matrix

__all__ = ["Rig", "camera_height_of", "make_kitti360_rig", "make_rig"]

# Mean tilt of the lidar around the camera's x axis (radians): it looks down a little, which keeps a
# level road in the lowest voxel layers to the end of the grid.
_LIDAR_TILT = -0.003
# Lidar axes (x front, y left, z up) as camera axes (x right, y down, z front).
_AXES = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
# Every street is driven by another car. With one height for all, the image row alone tells how far
# the road is, and a network has little use for a second view.
_CAMERA_HEIGHTS = (1.25, 1.85)
_GOLDEN_RATIO = 0.6180339887


@dataclass(frozen=True)
class Rig:
    """Calibration of one sequence, as in calib.txt.

    Attributes:
        projections: P0, P1, P2, P3 (of KITTI-360 P0, P1): (3, 4) pixels from camera-0 points.
        camera_from_lidar: (4, 4), the entry Tr.
        image_size: Height, width in pixels.
        camera_height: Camera 0 above the road in metres.
    """

    projections: dict[str, np.ndarray]
    camera_from_lidar: np.ndarray
    image_size: tuple[int, int]
    camera_height: float

    def camera(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return intrinsics (3, 3) and the position (3,) of a camera in the camera-0 frame."""
        intrinsics = self.projections[name][:, :3]
        return intrinsics, -np.linalg.solve(intrinsics, self.projections[name][:, 3])

    def pixel_directions(self, name: str, pixels: np.ndarray) -> np.ndarray:
        """Return directions (N, 3) in camera axes, with unit depth, of pixels (N, 2) as u, v."""
        intrinsics, _ = self.camera(name)
        directions = np.ones((len(pixels), 3))
        for axis in range(2):
            directions[:, axis] = pixels[:, axis] - intrinsics[axis, 2]
            directions[:, axis] /= intrinsics[axis, axis]
        return directions


def camera_height_of(number: int) -> float:
    """Return the height of camera 0 above the road in a sequence, metres.

    Golden-ratio steps: any few sequences have heights from all parts of the range.
    """
    low, high = _CAMERA_HEIGHTS
    return low + (high - low) * ((0.15 + number * _GOLDEN_RATIO) % 1.0)


def make_rig(rng: np.random.Generator, image_size: tuple[int, int], camera_height: float) -> Rig:
    """Draw a rig with KITTI's field of view, a baseline of 0.54 m and small mounting errors.

    Args:
        rng: Random generator.
        image_size: Height, width in pixels.
        camera_height: Camera 0 above the road in metres.
    """
    height, width = image_size
    focal = width * 0.579 * rng.uniform(0.99, 1.01)
    center = (
        width * (0.4893 + rng.uniform(-0.003, 0.003)),
        height * (0.4926 + rng.uniform(-0.004, 0.004)),
    )
    intrinsics = np.array([[focal, 0.0, center[0]], [0.0, focal, center[1]], [0.0, 0.0, 1.0]])
    baseline = 0.54 + rng.uniform(-0.004, 0.004)
    shifts = {
        "P0": np.zeros(3),
        "P1": np.array([-0.537, 0.0, 0.0]),
        "P2": np.array([0.06, *rng.uniform(-0.001, 0.001, 1), 0.003]),
        "P3": np.array([0.06 - baseline, *rng.uniform(-0.001, 0.001, 1), 0.003]),
    }
    projections = {
        k: np.column_stack([intrinsics, intrinsics @ shift]) for k, shift in shifts.items()
    }
    # A small tilt after the change of axes.
    mounting = euler_matrix(*rng.normal(0, (0.002, 0.006, 0.003), size=3))
    camera_from_lidar = euler_matrix(_LIDAR_TILT, 0.0, 0.0) @ mounting @ _AXES
    # KITTI: the lidar is 0.08 m above and 0.27 m behind camera 0.
    camera_from_lidar[:3, 3] = (rng.uniform(-0.01, 0.01), -0.08, -0.27)
    return Rig(projections, camera_from_lidar, (height, width), camera_height)


def make_kitti360_rig(image_size: tuple[int, int], camera_height: float) -> Rig:
    """Return KITTI-360's perspective cameras and lidar: field of view, baseline, places.

    Args:
        image_size: Height, width in pixels.
        camera_height: Camera 0 above the road in metres.
    """
    height, width = image_size
    focal, center = width * 552.554 / 1408, (width * 682.05 / 1408, height * 238.77 / 376)
    intrinsics = np.array([[focal, 0.0, center[0]], [0.0, focal, center[1]], [0.0, 0.0, 1.0]])
    projections = {
        name: np.column_stack([intrinsics, intrinsics @ (-shift, 0.0, 0.0)])
        for name, shift in (("P0", 0.0), ("P1", 0.594))
    }
    camera_from_lidar = euler_matrix(_LIDAR_TILT, 0.0, 0.0) @ _AXES
    # The lidar stands 0.8 m behind the left camera, 0.3 m to its right and 0.18 m above it.
    camera_from_lidar[:3, 3] = (0.3, -0.18, -0.8)
    return Rig(projections, camera_from_lidar, (height, width), camera_height)
