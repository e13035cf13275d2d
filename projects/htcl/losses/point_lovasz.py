"""Lovasz-softmax over labelled lidar points.

Shape letters: P point, K class.
"""

from __future__ import annotations

import torch
from mmdet3d.models.losses.lovasz_loss import lovasz_softmax
from mmengine.registry import MODELS
from torch import Tensor

from htcl.losses.loss import Loss


@MODELS.register_module()
class PointLovasz(Loss):
    """Lovasz-softmax over the classes present among the scored points of the whole batch.

    Args:
        empty_class: Label of points that are not scored: a point is never empty.
        weight, name: See :class:`Loss`.
    """

    on = "points"
    default_name = "point_lovasz"

    def __init__(self, empty_class: int = 0, weight: float = 1.0, name: str | None = None) -> None:
        super().__init__(weight, name)
        self.empty_class = empty_class

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (P, K) and labels (P,) -> scalar, see :func:`lovasz_softmax_loss`."""
        return lovasz_softmax_loss(logits, labels, self.empty_class)


def lovasz_softmax_loss(logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """Lovasz-softmax over the classes present: logits (P, K), labels (P,) -> scalar, float32.

    It is 0, attached to the graph, if nothing is scored. Berman, Rannen Triki, Blaschko, "The
    Lovasz-Softmax loss", CVPR 2018.
    """
    scored = labels != ignore_index
    logits, labels = logits.float()[scored], labels[scored]
    if labels.numel() == 0:
        return logits.sum()
    with torch.autocast(logits.device.type, enabled=False):
        return lovasz_softmax(logits.softmax(dim=1), labels, ignore_index=None)
