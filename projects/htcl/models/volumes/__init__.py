"""Matching volumes: what a view and others (history, stereo partner) have in common at a depth."""

from htcl.models.volumes.correlation_volume import CorrelationVolume
from htcl.models.volumes.depth_score import DepthScore
from htcl.models.volumes.mean_volume import MeanVolume
from htcl.models.volumes.patch_volume import PatchVolume
from htcl.models.volumes.sweep_volume import SweepVolume

__all__ = ["CorrelationVolume", "DepthScore", "MeanVolume", "PatchVolume", "SweepVolume"]
