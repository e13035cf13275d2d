"""Temporal branch: matching features, motion, affinity, refinement.

A source of motion is a module ``forward(current, history, current_from_history)`` of images
(M, 3, H, W) and (M, T-1, 3, H, W) in 0..1 and of motions (M, T-1, 4, 4) or None, which gives the
matrices (M, T-1, 4, 4) that take a point in the current camera frame to each history camera frame.
"""

from htcl.models.temporal.affinity_refinement import AffinityRefinement
from htcl.models.temporal.depth_agreement import DepthAgreement
from htcl.models.temporal.ego_pose import EgoPose
from htcl.models.temporal.frame_memory import FrameMemory, RecalledClip
from htcl.models.temporal.matching_resnet import MatchingResNet
from htcl.models.temporal.pattern_affinity import PatternAffinity
from htcl.models.temporal.point_history import PointHistory
from htcl.models.temporal.pose_net import PoseNet
from htcl.models.temporal.temporal_context import TemporalContext

__all__ = [
    "AffinityRefinement",
    "DepthAgreement",
    "EgoPose",
    "FrameMemory",
    "MatchingResNet",
    "PatternAffinity",
    "PointHistory",
    "PoseNet",
    "RecalledClip",
    "TemporalContext",
]
