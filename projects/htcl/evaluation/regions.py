"""Parts of the voxel grid that are scored apart: squares ahead of the car, and what is in view.

A region is a name and a window, which picks its voxels from a grid (X, Y, Z).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from torch import Tensor

from htcl.errors import InvalidValueError
from htcl.geometry import VoxelGrid

# Slices of the first axes, or a mask bool (X, Y, Z).
Window: TypeAlias = tuple[slice, ...] | Tensor

FULL = "full"
IN_VIEW, OUT_OF_VIEW = "in_view", "out_of_view"
VISIBLE, OCCLUDED = "visible", "occluded"
VIEWS = (IN_VIEW, OUT_OF_VIEW, VISIBLE, OCCLUDED)


def near_box(grid: VoxelGrid, reach: float) -> tuple[slice, slice]:
    """The voxels of a square in front of the car: reach long, reach wide, of every height.

    That is 0 <= x < reach and ``|y|`` < reach / 2 where x is the grid's front.

    VoxFormer (Li et al., CVPR 2023) introduced this split; by 12.8, 25.6 and 51.2 m it is the usual
    one. ``reach`` is in metres.

    Returns:
        Slices of the X and the Y axis of the voxels whose centres lie in the square.

    Raises:
        InvalidValueError: If no voxel lies in the square.
    """
    found = []
    for axis, name in enumerate("xy"):
        place = grid.centres(axis)
        ahead = (place >= 0) & (place < reach)
        inside = np.flatnonzero(ahead if name == grid.front else np.abs(place) < reach / 2)
        if inside.size == 0:
            raise InvalidValueError(f"no voxel of {grid} lies within {reach} m in front of the car")
        found.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return found[0], found[1]


def range_name(reach: float) -> str:
    """Name of the region within a range in metres, such as ``12.8m``."""
    return f"{reach:g}m"


def range_regions(grid: VoxelGrid, ranges: Sequence[float]) -> dict[str, Window]:
    """The ``full`` grid and the :func:`near_box` of each range in metres: ``12.8m``, ..."""
    boxes = {range_name(reach): near_box(grid, reach) for reach in ranges}
    return {FULL: (slice(None),), **boxes}


def whole_grid_ranges(grid: VoxelGrid, ranges: Sequence[float]) -> list[str]:
    """Names of the ranges whose box is the whole grid, so that their scores are the full ones."""
    whole = tuple(slice(0, count) for count in grid.shape[:2])
    return [range_name(reach) for reach in ranges if near_box(grid, reach) == whole]


def view_regions(in_view: Tensor, visible: Tensor | None = None) -> dict[str, Window]:
    """The voxels in and out of view and, if known, the visible and the occluded ones in view.

    Both masks are bool (X, Y, Z), see :class:`htcl.geometry.VoxelSight`.
    """
    regions: dict[str, Window] = {IN_VIEW: in_view, OUT_OF_VIEW: ~in_view}
    if visible is not None:
        regions |= {VISIBLE: visible, OCCLUDED: in_view & ~visible}
    return regions
