"""SemanticKITTI data: files, labels, calibration, the data set and its transforms."""

from .calibration import KittiCalibration
from .layout import KittiLayout
from .semantic_kitti import SemanticKITTISSC
from .transforms import (
    BEVAugmentation,
    LoadCalibrationAndPoses,
    LoadLidarPoints,
    LoadStereoImages,
    LoadVoxelLabels,
    PackSSCInputs,
    PhotometricJitter,
)
from .voxel_grid import VoxelGridSpec

__all__ = [
    "BEVAugmentation",
    "KittiCalibration",
    "KittiLayout",
    "LoadCalibrationAndPoses",
    "LoadLidarPoints",
    "LoadStereoImages",
    "LoadVoxelLabels",
    "PackSSCInputs",
    "PhotometricJitter",
    "SemanticKITTISSC",
    "VoxelGridSpec",
]
