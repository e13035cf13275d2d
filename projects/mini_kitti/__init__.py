"""Mini KITTI: synthetic streets in the SemanticKITTI layout, for machines without the real data."""

from mini_kitti.writer.generate import make_mini_kitti
from mini_kitti.writer.settings import DEFAULT_SEQUENCES, MiniKittiSettings, sequences_for

__all__ = ["DEFAULT_SEQUENCES", "MiniKittiSettings", "make_mini_kitti", "sequences_for"]
