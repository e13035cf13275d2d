"""Registers models, data sets, transforms, metrics and hooks with mmdetection3d and mmengine."""

from htcl import engine, losses, models
from htcl.datasets import kitti360, nuscenes_occupancy, occ3d_nuscenes, semantic_kitti, transforms
from htcl.evaluation import ssc_metric

__all__ = [
    "engine",
    "kitti360",
    "losses",
    "models",
    "nuscenes_occupancy",
    "occ3d_nuscenes",
    "semantic_kitti",
    "ssc_metric",
    "transforms",
]
