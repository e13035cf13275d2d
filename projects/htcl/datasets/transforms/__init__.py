"""Loading, augmentation and packing of SemanticKITTI samples."""

from htcl.datasets.transforms.bev_augmentation import BEVAugmentation
from htcl.datasets.transforms.load_calibration import LoadCalibrationAndPoses
from htcl.datasets.transforms.load_images import LoadStereoImages
from htcl.datasets.transforms.load_lidar import LoadLidarPoints
from htcl.datasets.transforms.load_voxel_labels import LoadVoxelLabels
from htcl.datasets.transforms.pack import PackSSCInputs
from htcl.datasets.transforms.photometric_jitter import PhotometricJitter

__all__ = [
    "BEVAugmentation",
    "LoadCalibrationAndPoses",
    "LoadLidarPoints",
    "LoadStereoImages",
    "LoadVoxelLabels",
    "PackSSCInputs",
    "PhotometricJitter",
]
