"""Scene-class affinity of "not empty" (:mod:`htcl.losses.scene_class_affinity`)."""

from __future__ import annotations

from mmengine.registry import MODELS
from torch import Tensor

from htcl.losses.loss import Loss
from htcl.losses.scene_class_affinity import negative_log
from htcl.losses.voxel_prediction import VoxelPrediction


@MODELS.register_module()
class GeometricScal(Loss):
    """-log precision - log recall - log specificity of "not empty".

    Args:
        empty_class: Class of empty voxels.
        weight, name: See :class:`Loss`.
    """

    on = "voxels"
    default_name = "voxel_geo_scal"

    def __init__(self, empty_class: int = 0, weight: float = 1.0, name: str | None = None) -> None:
        super().__init__(weight, name)
        self.empty_class = empty_class

    def forward(self, prediction: VoxelPrediction) -> Tensor:
        """Returns a scalar, float32.

        Without an occupied voxel only the specificity counts, without an empty one only precision
        and recall, and without a scored one the loss is 0.
        """
        sums = prediction.class_sums
        empty = sums.count[self.empty_class]
        occupied = sums.count.sum() - empty
        predicted_empty = sums.predicted[self.empty_class]
        matched_empty = sums.matched[self.empty_class]
        matched = occupied - (predicted_empty - matched_empty)
        predicted = sums.count.sum() - predicted_empty
        loss = (
            negative_log(matched, predicted, occupied > 0)
            + negative_log(matched, occupied, occupied > 0)
            + negative_log(matched_empty, empty, empty > 0)
        )
        return loss.float()
