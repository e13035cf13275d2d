"""The regular voxel grid in the (augmented) lidar frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

IndexRounding = Literal["trunc", "floor"]


@dataclass(frozen=True)
class VoxelGrid:
    """An axis-aligned grid; x front, y left, z up, metres.

    Attributes:
        lower: Lower corner of voxel (0, 0, 0).
        size: Edge lengths of a voxel.
        shape: Number of voxels (X, Y, Z).

    Raises:
        ValueError: If an edge length or a number of voxels is not positive.
    """

    lower: tuple[float, float, float]
    size: tuple[float, float, float]
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        if min(self.size) <= 0 or min(self.shape) <= 0:
            raise ValueError(f"a voxel grid needs positive size and shape, got {self}")

    @classmethod
    def from_range(
        cls, point_cloud_range: Sequence[float], voxel_size: float | Sequence[float]
    ) -> VoxelGrid:
        """Derives the grid that fills a box.

        Args:
            point_cloud_range: (x_min, y_min, z_min, x_max, y_max, z_max), metres.
            voxel_size: One edge length, or one an axis, metres.

        Raises:
            ValueError: If the box is not a whole number of voxels.
        """
        if len(point_cloud_range) != 6:
            raise ValueError(f"point_cloud_range needs 6 numbers, got {point_cloud_range}")
        size = (
            (float(voxel_size),) * 3
            if isinstance(voxel_size, int | float)
            else tuple(float(s) for s in voxel_size)
        )
        lower = tuple(float(v) for v in point_cloud_range[:3])
        counts = [(point_cloud_range[3 + i] - lower[i]) / size[i] for i in range(3)]
        shape = tuple(round(count) for count in counts)
        if not all(math.isclose(c, n, abs_tol=1e-3) for c, n in zip(counts, shape, strict=True)):
            raise ValueError(
                f"point_cloud_range {tuple(point_cloud_range)} is not a whole number of voxels of "
                f"{size} m: {counts}; change one of the two"
            )
        return cls(lower, size, shape)

    @property
    def num_voxels(self) -> int:
        """X * Y * Z."""
        return math.prod(self.shape)

    def flat_index(self, points: Tensor, rounding: IndexRounding = "floor") -> Tensor:
        """Returns the C-order voxel number of each point, -1 outside of the grid.

        Args:
            points: (..., 3) in the frame of the grid, metres.
            rounding: ``floor`` is the voxel that contains the point. ``trunc`` rounds towards zero,
                so that a layer one voxel thick below each lower face falls into the first voxels
                too (the released behaviour).

        Returns:
            (...) int64.

        Raises:
            ValueError: If ``rounding`` is neither of the two.
        """
        if rounding not in ("trunc", "floor"):
            raise ValueError(f"index rounding must be 'trunc' or 'floor', got {rounding!r}")
        coordinates = (points - points.new_tensor(self.lower)) / points.new_tensor(self.size)
        index = (coordinates.trunc() if rounding == "trunc" else coordinates.floor()).long()
        x, y, z = index.unbind(-1)
        nx, ny, nz = self.shape
        inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny) & (z >= 0) & (z < nz)
        return torch.where(inside, (x * ny + y) * nz + z, -1)
