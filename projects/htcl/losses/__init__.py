"""Losses."""

from htcl.losses.class_sums import ClassSums, class_sums
from htcl.losses.depth_supervision import DepthSupervision
from htcl.losses.point_losses import lovasz_softmax_loss, point_cross_entropy
from htcl.losses.scene_class_affinity import geo_scal_loss, sem_scal_loss
from htcl.losses.voxel_cross_entropy import inverse_log_frequency, voxel_cross_entropy

__all__ = [
    "ClassSums",
    "DepthSupervision",
    "class_sums",
    "geo_scal_loss",
    "inverse_log_frequency",
    "lovasz_softmax_loss",
    "point_cross_entropy",
    "sem_scal_loss",
    "voxel_cross_entropy",
]
