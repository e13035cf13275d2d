"""The voxel grid as one value object.

Shape letters: N point, X Y Z voxel (C order).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor

from htcl.errors import InvalidValueError, check_choice

IndexRounding = Literal["floor", "released"]
INDEX_ROUNDINGS: tuple[IndexRounding, ...] = get_args(IndexRounding)
_Points = TypeVar("_Points", np.ndarray, Tensor)


@dataclass(frozen=True)
class VoxelGrid:
    """An axis-aligned grid in the reference frame, metres.

    A point belongs to voxel ``floor((p - origin) / voxel_size)``.

    Attributes:
        origin: Lower corner (x, y, z) of voxel (0, 0, 0).
        voxel_size: Edge lengths of a voxel; one number stands for all three.
        shape: Number of voxels (X, Y, Z).
        front: Axis that points to the front of the car: 'x' (then y is left) or 'y' (x is right).

    Raises:
        InvalidValueError: If a number is missing, size and shape are not positive, or the front is
            none of the two.
    """

    origin: tuple[float, float, float]
    voxel_size: tuple[float, float, float]
    shape: tuple[int, int, int]
    front: str = "x"

    def __post_init__(self) -> None:
        """Makes plain tuples of what a config gave and checks them."""
        check_choice("front", self.front, ("x", "y"))
        size = self.voxel_size
        edges = (size,) * 3 if isinstance(size, int | float) else tuple(size)
        object.__setattr__(self, "origin", tuple(float(value) for value in self.origin))
        object.__setattr__(self, "voxel_size", tuple(float(value) for value in edges))
        object.__setattr__(self, "shape", tuple(int(value) for value in self.shape))
        if not len(self.origin) == len(self.voxel_size) == len(self.shape) == 3:
            raise InvalidValueError(
                f"a voxel grid needs three numbers each, found origin {self.origin}, voxel_size "
                f"{self.voxel_size}, shape {self.shape}"
            )
        if min(self.voxel_size) <= 0 or min(self.shape) <= 0:
            raise InvalidValueError(f"a voxel grid needs positive size and shape, found {self}")

    @classmethod
    def from_range(
        cls,
        point_cloud_range: Sequence[float],
        voxel_size: float | Sequence[float],
        front: str = "x",
    ) -> VoxelGrid:
        """The grid that fills a box (x_min, y_min, z_min, x_max, y_max, z_max), metres.

        Raises:
            InvalidValueError: If the box is not a whole number of voxels.
        """
        if len(point_cloud_range) != 6:
            raise InvalidValueError(f"point_cloud_range needs 6 numbers, got {point_cloud_range}")
        edges = (voxel_size,) * 3 if isinstance(voxel_size, int | float) else tuple(voxel_size)
        low, high = point_cloud_range[:3], point_cloud_range[3:]
        counts = [(b - a) / edge for a, b, edge in zip(low, high, edges, strict=True)]
        shape = [round(count) for count in counts]
        if not all(math.isclose(c, n, abs_tol=1e-3) for c, n in zip(counts, shape, strict=True)):
            raise InvalidValueError(
                f"point_cloud_range {tuple(point_cloud_range)} is not a whole number of voxels of "
                f"{edges} m: {counts}; change one of the two"
            )
        return cls(tuple(low), edges, tuple(shape), front)  # type: ignore[arg-type]

    @classmethod
    def build(cls, config: VoxelGrid | Mapping[str, Any]) -> VoxelGrid:
        """Returns a grid itself, or that of ``point_cloud_range, voxel_size`` or the attributes."""
        if isinstance(config, VoxelGrid):
            return config
        if "point_cloud_range" in config:
            return cls.from_range(**config)
        return cls(**config)

    def resized(self, voxel_size: float | Sequence[float]) -> VoxelGrid:
        """The same box in voxels of another size, metres."""
        return VoxelGrid.from_range(self.range, voxel_size, self.front)

    @property
    def reference_from_car(self) -> np.ndarray:
        """Rotation (3, 3) from axes x front, y left, z up to those of the grid."""
        if self.front == "x":
            return np.eye(3)
        return np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])

    def along_car(self) -> VoxelGrid:
        """The same box and voxels in axes x front, y left, z up, around the same point."""
        if self.front == "x":
            return self
        (x, y, z), (dx, dy, dz), (nx, ny, nz) = self.origin, self.voxel_size, self.shape
        return VoxelGrid((y, -(x + nx * dx), z), (dy, dx, dz), (ny, nx, nz))

    @property
    def num_voxels(self) -> int:
        """X * Y * Z."""
        return math.prod(self.shape)

    @property
    def upper(self) -> tuple[float, float, float]:
        """Upper corner (x, y, z), metres."""
        x, y, z = (
            low + count * edge
            for low, count, edge in zip(self.origin, self.shape, self.voxel_size, strict=True)
        )
        return x, y, z

    @property
    def range(self) -> tuple[float, float, float, float, float, float]:
        """(x_min, y_min, z_min, x_max, y_max, z_max), metres."""
        return (*self.origin, *self.upper)

    def to_voxels(self, points: _Points) -> _Points:
        """Turns points (..., 3) in metres into voxel coordinates, in the points' precision."""
        if isinstance(points, Tensor):
            # Axis by axis: a tensor of the three numbers would have to be copied to the device.
            axes = zip(points.unbind(-1), self.origin, self.voxel_size, strict=True)
            return torch.stack([(axis - low) / edge for axis, low, edge in axes], dim=-1)
        dtype = points.dtype if points.dtype.kind == "f" else np.dtype(np.float64)
        return (points - np.asarray(self.origin, dtype)) / np.asarray(self.voxel_size, dtype)

    def indices(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Voxels of points (N, 3) in the reference frame, metres.

        Returns ``inside`` (N,) bool and ``indices`` (M, 3) int64 of the M points inside, in order.
        """
        index = np.floor(self.to_voxels(points)).astype(np.int64)
        inside = ((index >= 0) & (index < self.shape)).all(axis=1)
        return inside, index[inside]

    def flat_index(self, points: Tensor, rounding: IndexRounding = "floor") -> Tensor:
        """C-order voxel numbers (...) int64 of points (..., 3), metres; -1 outside of the grid.

        ``floor`` is the voxel that contains the point. ``released`` rounds towards zero, so that a
        layer one voxel thick below each lower face falls into the first voxels too.

        Raises:
            InvalidValueError: If ``rounding`` is neither of the two.
        """
        check_choice("index_rounding", rounding, INDEX_ROUNDINGS)
        coordinates = self.to_voxels(points)
        index = (coordinates.floor() if rounding == "floor" else coordinates.trunc()).long()
        x, y, z = index.unbind(-1)
        nx, ny, nz = self.shape
        inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny) & (z >= 0) & (z < nz)
        return torch.where(inside, (x * ny + y) * nz + z, -1)

    def centres(self, axis: int) -> np.ndarray:
        """Voxel centres along one axis (0 x, 1 y, 2 z), metres, float64."""
        steps = np.arange(self.shape[axis]) + 0.5
        return self.origin[axis] + steps * self.voxel_size[axis]
