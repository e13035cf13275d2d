"""Loading, augmentation and packing of samples."""

from htcl.datasets.transforms.bev_augmentation import BEVAugmentation
from htcl.datasets.transforms.load_depth_prior import LoadDepthPrior
from htcl.datasets.transforms.load_images import LoadImages
from htcl.datasets.transforms.load_lidar import LoadLidarPoints
from htcl.datasets.transforms.load_voxel_labels import LoadVoxelLabels
from htcl.datasets.transforms.pack import PackInputs
from htcl.datasets.transforms.photometric_jitter import PhotometricJitter

__all__ = [
    "BEVAugmentation",
    "LoadDepthPrior",
    "LoadImages",
    "LoadLidarPoints",
    "LoadVoxelLabels",
    "PackInputs",
    "PhotometricJitter",
]
