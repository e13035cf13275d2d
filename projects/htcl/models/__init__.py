"""The network and its parts, registered with mmdetection3d."""

from htcl.models import backbones, depth, heads, necks, temporal, view_transformers, volumes
from htcl.models.data_preprocessor import OccupancyDataPreprocessor
from htcl.models.htcl import HTCL

__all__ = [
    "HTCL",
    "OccupancyDataPreprocessor",
    "backbones",
    "depth",
    "heads",
    "necks",
    "temporal",
    "view_transformers",
    "volumes",
]
