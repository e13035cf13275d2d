"""Matching volumes: what a view and other views have in common at each depth.

The history and the stereo pair can both be matched by them. Papers and formulas are with each
class.
"""

from htcl.models.volumes.correlation_volume import CorrelationVolume
from htcl.models.volumes.depth_score import DepthScore
from htcl.models.volumes.mean_volume import MeanVolume
from htcl.models.volumes.patch_volume import PatchVolume
from htcl.models.volumes.sweep_volume import SweepVolume

__all__ = ["CorrelationVolume", "DepthScore", "MeanVolume", "PatchVolume", "SweepVolume"]
