"""Loading, augmentation and packing of SemanticKITTI samples."""

from .bev_augmentation import BEVAugmentation
from .load_calibration import LoadCalibrationAndPoses
from .load_images import LoadStereoImages
from .load_lidar import LoadLidarPoints
from .load_voxel_labels import LoadVoxelLabels
from .pack import PackSSCInputs
from .photometric_jitter import PhotometricJitter

__all__ = [
    "BEVAugmentation",
    "LoadCalibrationAndPoses",
    "LoadLidarPoints",
    "LoadStereoImages",
    "LoadVoxelLabels",
    "PackSSCInputs",
    "PhotometricJitter",
]
