"""The network and its parts, registered with mmdetection3d."""

from htcl.models import backbones, depth, heads, necks, temporal, view_transformers
from htcl.models.data_preprocessor import SSCDataPreprocessor
from htcl.models.htcl import HTCL, SceneFeatures

__all__ = [
    "HTCL",
    "SSCDataPreprocessor",
    "SceneFeatures",
    "backbones",
    "depth",
    "heads",
    "necks",
    "temporal",
    "view_transformers",
]
