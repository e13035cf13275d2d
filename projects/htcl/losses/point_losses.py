"""Losses on labelled points (and, for the Lovasz loss, on voxels).

Shape letters: N point, C class.
"""

from __future__ import annotations

import torch
from mmdet3d.models.losses.lovasz_loss import lovasz_softmax
from torch import Tensor
from torch.nn import functional as F


def point_cross_entropy(logits: Tensor, labels: Tensor, ignore_index: int = 0) -> Tensor:
    """Mean of -log p(label) over the scored points; 0, attached to the graph, if there is none.

    Args:
        logits: (N, C).
        labels: (N,) integer.
        ignore_index: Label of points that are not scored.

    Returns:
        Scalar, float32.
    """
    total = F.cross_entropy(
        logits.float(), labels.long(), ignore_index=ignore_index, reduction="sum"
    )
    return total / (labels != ignore_index).sum().clamp_min(1)


def lovasz_softmax_loss(logits: Tensor, labels: Tensor, ignore_index: int = 0) -> Tensor:
    """Lovasz-softmax over the classes present among the scored points of the whole batch.

    Berman, Rannen Triki, Blaschko, "The Lovasz-Softmax loss", CVPR 2018.

    Args:
        logits: (N, C).
        labels: (N,) integer.
        ignore_index: Label of points that are not scored.

    Returns:
        Scalar, float32; 0, attached to the graph, if no point is scored.
    """
    scored = labels != ignore_index
    logits, labels = logits.float()[scored], labels[scored]
    if labels.numel() == 0:
        return logits.sum()
    with torch.autocast(logits.device.type, enabled=False):
        return lovasz_softmax(logits.softmax(dim=1), labels, ignore_index=None)
