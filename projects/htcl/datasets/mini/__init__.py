"""Mini KITTI: synthetic streets in the SemanticKITTI layout, for machines without the real data."""

from htcl.datasets.mini.generate import make_mini_kitti
from htcl.datasets.mini.settings import DEFAULT_SEQUENCES, MiniKittiSettings

__all__ = ["DEFAULT_SEQUENCES", "MiniKittiSettings", "make_mini_kitti"]
