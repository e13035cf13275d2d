"""From the image plane to the voxel grid."""

from htcl.models.view_transformers.lift_splat import LiftSplat

__all__ = ["LiftSplat"]
