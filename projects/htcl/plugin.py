"""Registers models, data sets, transforms, metrics and hooks with mmdetection3d and mmengine."""

from htcl import engine, losses, models
from htcl.datasets import kitti360, semantic_kitti, transforms
from htcl.evaluation import ssc_metric

__all__ = ["engine", "kitti360", "losses", "models", "semantic_kitti", "ssc_metric", "transforms"]
