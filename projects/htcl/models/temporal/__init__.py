"""Temporal branch: matching features, motion, plane sweep, affinity, refinement."""

from htcl.models.temporal.affinity_refinement import AffinityRefinement
from htcl.models.temporal.ego_pose import EgoPose
from htcl.models.temporal.matching_resnet import MatchingResNet
from htcl.models.temporal.pattern_affinity import PatternAffinity
from htcl.models.temporal.plane_sweep import PlaneSweep
from htcl.models.temporal.pose_net import PoseNet
from htcl.models.temporal.temporal_context import TemporalContext

__all__ = [
    "AffinityRefinement",
    "EgoPose",
    "MatchingResNet",
    "PatternAffinity",
    "PlaneSweep",
    "PoseNet",
    "TemporalContext",
]
