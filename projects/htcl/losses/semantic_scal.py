"""Scene-class affinity of each class (:mod:`htcl.losses.scene_class_affinity`)."""

from __future__ import annotations

from mmengine.registry import MODELS
from torch import Tensor

from htcl.losses.loss import Loss
from htcl.losses.scene_class_affinity import negative_log
from htcl.losses.voxel_prediction import VoxelPrediction


@MODELS.register_module()
class SemanticScal(Loss):
    """Mean of -log precision - log recall - log specificity over the classes in the target."""

    on = "voxels"
    default_name = "voxel_sem_scal"

    def forward(self, prediction: VoxelPrediction) -> Tensor:
        """Returns a scalar, float32; 0 if no voxel is scored."""
        sums = prediction.class_sums
        present = sums.count > 0
        others = sums.count.sum() - sums.count
        terms = (
            negative_log(sums.matched, sums.predicted, present)
            + negative_log(sums.matched, sums.count, present)
            + negative_log(others - (sums.predicted - sums.matched), others, present)
        )
        return (terms.sum() / present.sum().clamp_min(1)).float()
