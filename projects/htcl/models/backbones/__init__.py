"""Backbones."""

from htcl.models.backbones.efficientnet_lite0 import EfficientNetLite0
from htcl.models.backbones.voxel_resnet3d import VoxelResNet3D

__all__ = ["EfficientNetLite0", "VoxelResNet3D"]
