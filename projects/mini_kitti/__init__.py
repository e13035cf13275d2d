"""Mini KITTI: synthetic streets in SemanticKITTI's layout, for machines without the real data.

Also in that of SSCBench-KITTI-360, and with six cameras in that of nuScenes.
"""

from mini_kitti.writer.generate import make_mini_kitti
from mini_kitti.writer.settings import (
    DEFAULT_SEQUENCES,
    KITTI360_SEQUENCES,
    NUSCENES_SEQUENCES,
    MiniKittiSettings,
    sequences_for,
)

__all__ = [
    "DEFAULT_SEQUENCES",
    "KITTI360_SEQUENCES",
    "NUSCENES_SEQUENCES",
    "MiniKittiSettings",
    "make_mini_kitti",
    "sequences_for",
]
