"""One camera of the rig at one moment.

Shape letters in this file: H, W image; N pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mini_kitti.sensors.rig import Rig

__all__ = ["View"]


@dataclass(frozen=True)
class View:
    """One camera of the rig at one moment.

    Attributes:
        rig: Calibration.
        name: P2 (left) or P3 (right).
        world_from_camera0: (4, 4) pose of camera 0.
    """

    rig: Rig
    name: str
    world_from_camera0: np.ndarray

    @property
    def origin(self) -> np.ndarray:
        """The (3,) position in the world."""
        _, position = self.rig.camera(self.name)
        return self.world_from_camera0[:3, :3] @ position + self.world_from_camera0[:3, 3]

    @property
    def pixel_angle(self) -> float:
        """Angle of one pixel in the middle of the image (radians)."""
        return 1.0 / self.rig.projections[self.name][0, 0]

    @property
    def projection(self) -> np.ndarray:
        """The (3, 4) matrix from world points to homogeneous pixels; the third row is depth."""
        camera0_from_world = np.linalg.inv(self.world_from_camera0)
        return self.rig.projections[self.name] @ camera0_from_world

    @property
    def world_from_pixel(self) -> np.ndarray:
        """The (3, 3) matrix from pixels (u, v, 1) to world directions of unit depth."""
        intrinsics, _ = self.rig.camera(self.name)
        return self.world_from_camera0[:3, :3] @ np.linalg.inv(intrinsics)

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Return world directions (N, 3) of pixels (N, 2).

        They have unit depth: a hit distance along them is the depth in metres.
        """
        directions = self.rig.pixel_directions(self.name, pixels)
        return directions @ self.world_from_camera0[:3, :3].T

    def all_pixels(self) -> np.ndarray:
        """Return (H*W, 2) pixel centres as u, v; the centre of the first pixel is (0, 0)."""
        height, width = self.rig.image_size
        v, u = np.indices((height, width), dtype=np.float64)
        return np.column_stack([u.ravel(), v.ravel()])
