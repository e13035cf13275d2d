"""The few numbers of a voxel prediction that cross entropy and the affinity losses depend on.

At full size a prediction has 20 x 256 x 256 x 32 log-probabilities. Voxel cross entropy,
sem_scal and geo_scal are all functions of three sums for each class, so one pass over the volume
serves the three, forwards and backwards, and nothing is kept but the log-probabilities.

Shape letters: B batch, C class, `...` any spatial axes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class ClassSums(NamedTuple):
    """Sums over the scored voxels of a batch; all (C,), float64, counts without gradient.

    Attributes:
        predicted: Sum of the probability of class c.
        matched: The same over the voxels whose target is c.
        log_matched: Sum of the log-probability of class c over the voxels whose target is c.
        count: Number of voxels whose target is c.
    """

    predicted: Tensor
    matched: Tensor
    log_matched: Tensor
    count: Tensor


class _SumByClass(torch.autograd.Function):
    """log-probabilities and target -> the four sums; one class at a time, without masks kept."""

    @staticmethod
    def forward(
        ctx: Any, log_probs: Tensor, target: Tensor, ignore_index: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        valid = target != ignore_index
        columns = []
        for c in range(log_probs.shape[1]):
            log_prob = log_probs[:, c]
            prob = log_prob.exp()
            is_class = target == c
            columns.append(
                torch.stack(
                    [
                        torch.where(valid, prob, 0).sum(dtype=torch.float64),
                        torch.where(is_class, prob, 0).sum(dtype=torch.float64),
                        torch.where(is_class, log_prob, 0).sum(dtype=torch.float64),
                        is_class.sum().double(),
                    ]
                )
            )
        predicted, matched, log_matched, count = torch.stack(columns, dim=1).unbind(0)
        ctx.save_for_backward(log_probs, target)
        ctx.ignore_index = ignore_index
        ctx.mark_non_differentiable(count)
        return predicted, matched, log_matched, count

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_predicted: Tensor, grad_matched: Tensor, grad_log: Tensor, _: Tensor
    ) -> tuple[Tensor, None, None]:
        log_probs, target = ctx.saved_tensors
        valid = target != ctx.ignore_index
        grad = torch.empty_like(log_probs)
        # d(prob)/d(log_prob) = prob, so the two probability sums share a factor.
        on_class = (grad_predicted + grad_matched).to(log_probs.dtype)
        off_class = grad_predicted.to(log_probs.dtype)
        grad_log = grad_log.to(log_probs.dtype)
        for c in range(log_probs.shape[1]):
            prob = log_probs[:, c].exp()
            grad[:, c] = torch.where(
                target == c,
                prob * on_class[c] + grad_log[c],
                torch.where(valid, prob * off_class[c], 0),
            )
        return grad, None, None


def class_sums(logits: Tensor, target: Tensor, ignore_index: int = 255) -> ClassSums:
    """Sums the softmax of ``logits`` by class, in float32 whatever autocast says.

    Args:
        logits: (B, C, ...).
        target: Class of each voxel (B, ...), any integer dtype.
        ignore_index: Target value of voxels that are not scored.

    Returns:
        The sums, attached to the graph of ``logits``.

    Raises:
        ValueError: If the shapes do not fit.
    """
    if logits.shape[:1] + logits.shape[2:] != target.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} and target {tuple(target.shape)} do not fit: expected "
            "(B, C, ...) and (B, ...); resize the logits to the grid of the labels first"
        )
    log_probs = F.log_softmax(logits.float(), dim=1)
    return ClassSums(*_SumByClass.apply(log_probs, target, ignore_index))
