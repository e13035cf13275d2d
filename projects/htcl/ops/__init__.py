"""Numerics in plain torch; they know nothing of the framework above them."""

from __future__ import annotations

from htcl.ops.cost_volume import VolumeSampling, plane_cost_volume
from htcl.ops.plane_sweep import (
    Behind,
    plane_sweep_reference,
    released_intrinsics,
    sweep_grid,
    sweep_projection,
    warp,
)
from htcl.ops.resample import trilinear_resample
from htcl.ops.splat import (
    SplatIndex,
    build_splat_index,
    lift_splat,
    lift_splat_reference,
    pool_cells,
    pool_cells_reference,
)

__all__ = [
    "Behind",
    "SplatIndex",
    "VolumeSampling",
    "build_splat_index",
    "lift_splat",
    "lift_splat_reference",
    "plane_cost_volume",
    "plane_sweep_reference",
    "pool_cells",
    "pool_cells_reference",
    "released_intrinsics",
    "sweep_grid",
    "sweep_projection",
    "trilinear_resample",
    "warp",
]
