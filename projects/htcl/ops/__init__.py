"""Numerics in plain torch; they know nothing of the framework above them."""

from __future__ import annotations

from htcl.ops.depth_bins import DepthBins
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
    "DepthBins",
    "SplatIndex",
    "build_splat_index",
    "lift_splat",
    "lift_splat_reference",
    "pool_cells",
    "pool_cells_reference",
    "trilinear_resample",
]
