"""Numerics in plain torch; they know nothing of the framework above them."""

from htcl.ops.cost_volume import VolumeSampling, plane_cost_volume
from htcl.ops.device import gpu_operators, standard_only, standard_operators, suits_gpu
from htcl.ops.inverse import affine_inverse
from htcl.ops.plane_sweep import Behind, released_intrinsics, sweep_grid, sweep_projection, warp
from htcl.ops.resample import interpolation_matrix, trilinear_resample
from htcl.ops.splat import SplatIndex, build_splat_index, lift_splat, pool_cells

__all__ = [
    "Behind",
    "SplatIndex",
    "VolumeSampling",
    "affine_inverse",
    "build_splat_index",
    "gpu_operators",
    "interpolation_matrix",
    "lift_splat",
    "plane_cost_volume",
    "pool_cells",
    "released_intrinsics",
    "standard_only",
    "standard_operators",
    "suits_gpu",
    "sweep_grid",
    "sweep_projection",
    "trilinear_resample",
    "warp",
]
