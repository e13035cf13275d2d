"""Lovasz-softmax over labelled lidar points.

Shape letters: P point, K class.
"""

from __future__ import annotations

import torch
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

    With the errors e of a class (1 - p on its own points, p elsewhere) in falling order and J_i the
    Jaccard loss 1 - (n - f_i) / (n + i - f_i) of getting the first i wrong, f_i of them among the n
    points of the class, the class loses ``sum_i e_i (J_i - J_{i-1})``. It is 0, attached to the
    graph, if nothing is scored. Berman, Rannen Triki, Blaschko, "The Lovasz-Softmax loss", CVPR
    2018, algorithm 1; all classes at once, and without masks that a GPU would have to wait for.
    """
    scored = (labels != ignore_index)[:, None]
    with torch.autocast(logits.device.type, enabled=False):
        probs = logits.float().softmax(dim=1)
    own = (labels[:, None] == torch.arange(probs.shape[1], device=labels.device)) & scored
    # Unscored points come last and weigh nothing.
    errors = torch.where(scored, (own.float() - probs).abs(), -1.0)
    errors, order = errors.t().sort(dim=1, descending=True)
    hits = own.t().gather(1, order).float()
    size = hits.sum(dim=1, keepdim=True)
    missed = hits.cumsum(dim=1)
    places = torch.arange(1, errors.shape[1] + 1, device=errors.device)
    jaccard = 1 - (size - missed) / (size + places - missed).clamp_min(1)
    steps = jaccard.diff(dim=1, prepend=torch.zeros_like(size))
    by_class = (errors.clamp_min(0) * steps).sum(dim=1)
    present = size[:, 0] > 0
    return torch.where(present, by_class, 0).sum() / present.sum().clamp_min(1)
