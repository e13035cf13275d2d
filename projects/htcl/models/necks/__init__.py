"""Necks."""

from htcl.models.necks.temporal_voxel_attention import TemporalVoxelAttention
from htcl.models.necks.voxel_fpn import VoxelFPN

__all__ = ["TemporalVoxelAttention", "VoxelFPN"]
