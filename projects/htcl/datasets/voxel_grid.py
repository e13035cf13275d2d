"""The voxel grid as one value object.

Shape letters: N points, X front, Y left, Z up (voxels). Lidar frame: x front, y left, z up, metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VoxelGridSpec:
    """Where a voxel grid lies and how fine it is; the defaults are SemanticKITTI's.

    A point belongs to voxel ``floor((p - origin) / voxel_size)``.

    Attributes:
        origin: Lowest corner (x, y, z) in the lidar frame, metres.
        voxel_size: Edge length of a voxel, metres.
        size: Number of voxels along (X, Y, Z).
    """

    origin: tuple[float, float, float] = (0.0, -25.6, -2.0)
    voxel_size: float = 0.2
    size: tuple[int, int, int] = (256, 256, 32)

    def __post_init__(self) -> None:
        """Makes plain tuples of what a config gave and checks them."""
        object.__setattr__(self, "origin", tuple(float(value) for value in self.origin))
        object.__setattr__(self, "size", tuple(int(value) for value in self.size))
        if len(self.origin) != 3 or len(self.size) != 3:
            raise ValueError(f"origin and size need 3 values, found {self.origin} and {self.size}")
        if self.voxel_size <= 0 or min(self.size) <= 0:
            raise ValueError(
                f"voxel_size and size must be positive, found {self.voxel_size} and {self.size}"
            )

    @property
    def num_voxels(self) -> int:
        """X * Y * Z."""
        return math.prod(self.size)

    @property
    def upper(self) -> tuple[float, float, float]:
        """Highest corner (x, y, z), metres."""
        low, size = np.asarray(self.origin), np.asarray(self.size)
        return tuple((low + size * self.voxel_size).tolist())

    def to_voxels(self, points: np.ndarray) -> np.ndarray:
        """Turns points (..., 3) in metres into voxel coordinates, in the points' precision."""
        points = np.asarray(points)
        dtype = points.dtype if points.dtype.kind == "f" else np.dtype(np.float64)
        return (points - np.asarray(self.origin, dtype=dtype)) / dtype.type(self.voxel_size)

    def indices(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Finds the voxel of each point.

        Args:
            points: (N, 3) in the lidar frame, metres.

        Returns:
            ``inside`` (N,) bool and ``indices`` (M, 3) int64 of the M points inside, in the order
            of the points.
        """
        index = np.floor(self.to_voxels(points)).astype(np.int64)
        inside = ((index >= 0) & (index < self.size)).all(axis=1)
        return inside, index[inside]

    def centres(self, axis: int) -> np.ndarray:
        """Voxel centres along one axis (0 x, 1 y, 2 z), metres, float64."""
        return self.origin[axis] + (np.arange(self.size[axis]) + 0.5) * self.voxel_size
