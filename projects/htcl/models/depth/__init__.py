"""Depth distributions: monocular, stereo and their fusion."""

from htcl.models.depth.camera_vector import camera_vector
from htcl.models.depth.depth_net import CameraAwareDepthNet
from htcl.models.depth.stereo_depth import StereoDepth
from htcl.models.depth.stereo_depth_fusion import StereoDepthFusion
from htcl.models.depth.stereo_features import StereoFeatureNet
from htcl.models.depth.stereo_matching import StereoMatchingNet

__all__ = [
    "CameraAwareDepthNet",
    "StereoDepth",
    "StereoDepthFusion",
    "StereoFeatureNet",
    "StereoMatchingNet",
    "camera_vector",
]
