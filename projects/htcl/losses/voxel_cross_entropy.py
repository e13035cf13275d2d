"""Class-weighted cross entropy over voxels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor

from htcl.errors import InvalidValueError
from htcl.losses.loss import Loss
from htcl.losses.voxel_prediction import VoxelPrediction


@MODELS.register_module()
class VoxelCrossEntropy(Loss):
    """Weighted mean of -log p(target) over the scored voxels.

    Equals ``F.cross_entropy(logits, target, weight, ignore_index)``, but 0 where no voxel is
    scored.

    Args:
        num_classes: Number of classes.
        class_counts: Training voxels of each class; only for weights that follow from them.
        class_weights: ``'inverse_log_frequency'``, the released choice (see
            :func:`inverse_log_frequency`), a list, or None for equal weights.
        weight, name: See :class:`Loss`.

    Raises:
        InvalidValueError: If the class weights are not as described.
    """

    on = "voxels"
    default_name = "voxel_ce"

    def __init__(
        self,
        num_classes: int,
        class_counts: Sequence[float] | None = None,
        class_weights: str | Sequence[float] | None = "inverse_log_frequency",
        weight: float = 1.0,
        name: str | None = None,
    ) -> None:
        super().__init__(weight, name)
        weights = torch.ones(num_classes)
        if isinstance(class_weights, str):
            if class_weights != "inverse_log_frequency" or class_counts is None:
                raise InvalidValueError(
                    f"VoxelCrossEntropy: class_weights={class_weights!r}, class_counts="
                    f"{class_counts}; give 'inverse_log_frequency' and a specification with "
                    "class_counts, a list of weights, or None"
                )
            weights = inverse_log_frequency(class_counts)
        elif class_weights is not None:
            weights = torch.tensor(class_weights, dtype=torch.float32)
        if weights.shape != (num_classes,):
            raise InvalidValueError(
                f"VoxelCrossEntropy: {weights.numel()} class_weights for {num_classes} classes; "
                "give one for each class"
            )
        self.class_weights: Tensor
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, prediction: VoxelPrediction) -> Tensor:
        """Returns a scalar, float32."""
        sums = prediction.class_sums
        weights = self.class_weights.double()
        total = (weights * sums.count).sum()
        loss = -(weights * sums.log_matched).sum() / torch.where(total > 0, total, 1.0)
        return loss.float()


def inverse_log_frequency(counts: Sequence[float], offset: float = 0.001) -> Tensor:
    """Class weights 1 / ln(count + offset), (K,) float32, from each class's voxels.

    The choice of Roldao, de Charette, Verroust-Blondet, "LMSCNet: Lightweight Multiscale 3D
    Semantic Completion", 3DV 2020.

    Raises:
        InvalidValueError: If a count is too small for a positive weight.
    """
    values = torch.as_tensor(counts, dtype=torch.float64) + offset
    if bool((values <= 1).any()):
        raise InvalidValueError(
            f"class counts must exceed 1 for weights 1 / ln(count), found {float(values.min()):g}; "
            "give explicit class_weights instead"
        )
    return values.log().reciprocal().float()
