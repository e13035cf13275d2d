"""Cross entropy over labelled lidar points."""

from __future__ import annotations

from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from htcl.losses.loss import Loss


@MODELS.register_module()
class PointCrossEntropy(Loss):
    """Mean of -log p(label) over the scored points.

    Args:
        empty_class: Label of points that are not scored: a point is never empty.
        weight, name: See :class:`Loss`.
    """

    on = "points"
    default_name = "point_ce"

    def __init__(self, empty_class: int = 0, weight: float = 1.0, name: str | None = None) -> None:
        super().__init__(weight, name)
        self.empty_class = empty_class

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (P, K), labels (P,) -> float32 scalar; without scored points 0, with a graph."""
        total = F.cross_entropy(
            logits.float(), labels.long(), ignore_index=self.empty_class, reduction="sum"
        )
        return total / (labels != self.empty_class).sum().clamp_min(1)
