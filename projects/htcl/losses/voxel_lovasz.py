"""Lovasz-softmax over voxels."""

from __future__ import annotations

from mmengine.registry import MODELS
from torch import Tensor

from htcl.losses.loss import Loss
from htcl.losses.point_lovasz import lovasz_softmax_loss
from htcl.losses.voxel_prediction import VoxelPrediction


@MODELS.register_module()
class VoxelLovasz(Loss):
    """Lovasz-softmax over the classes of the batch's scored voxels; of weight 0 as released."""

    on = "voxels"
    default_name = "voxel_lovasz"

    def forward(self, prediction: VoxelPrediction) -> Tensor:
        """Returns a scalar, see :func:`.lovasz_softmax_loss`."""
        rows = prediction.logits.movedim(1, -1).flatten(0, -2)
        return lovasz_softmax_loss(rows, prediction.target.flatten(), prediction.ignore_index)
