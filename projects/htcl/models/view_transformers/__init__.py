"""From the image plane to the voxel grid."""

from __future__ import annotations

from htcl.models.view_transformers.frustum import (
    FeaturePixels,
    feature_pixels,
    frustum_cells,
    unproject,
)
from htcl.models.view_transformers.lift_splat import LiftSplat
from htcl.models.view_transformers.voxel_grid import IndexRounding, VoxelGrid

__all__ = [
    "FeaturePixels",
    "IndexRounding",
    "LiftSplat",
    "VoxelGrid",
    "feature_pixels",
    "frustum_cells",
    "unproject",
]
