"""Depth distributions: monocular, stereo and their fusion."""

from htcl.models.depth.depth_net import CameraAwareDepthNet, camera_vector
from htcl.models.depth.given_depth import GivenDepth
from htcl.models.depth.stereo_depth import StereoDepth
from htcl.models.depth.stereo_depth_fusion import StereoDepthFusion

__all__ = [
    "CameraAwareDepthNet",
    "GivenDepth",
    "StereoDepth",
    "StereoDepthFusion",
    "camera_vector",
]
