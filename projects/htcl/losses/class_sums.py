"""The few numbers of a voxel prediction that cross entropy and the affinity losses depend on.

At full size a prediction has 20 x 256 x 256 x 32 log-probabilities. Voxel cross entropy,
sem_scal and geo_scal are all functions of three sums for each class, so one pass over the volume
serves the three, forwards and backwards, and nothing is kept but the log-probabilities.

Shape letters: B batch, C class, `...` any spatial axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


@dataclass(frozen=True)
class ClassSums:
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
    """Logits and target -> the four sums, one class at a time, so that no mask is kept.

    The backward pass includes that of the softmax: with g the gradient in the log-probabilities,
    that in the logits is g - p * sum_c g; off the target's class g comes from ``predicted`` alone.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, target: Tensor, ignore_index: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        log_probs = F.log_softmax(logits, dim=1)
        scored = (target != ignore_index).to(log_probs.dtype)
        on_target = _at_target(log_probs, target, ignore_index)
        prob_on_target = on_target.exp()
        sums: list[Tensor] = []
        counts: list[Tensor] = []
        classes = log_probs.shape[1]
        for c in range(classes):
            is_class = target == c
            sums.append(log_probs[:, c].exp().mul_(scored).sum())
            sums += [torch.where(is_class, x, 0).sum() for x in (prob_on_target, on_target)]
            # Not by bincount, which on a GPU waits for the largest label.
            counts.append(is_class.sum() * (c != ignore_index))
        predicted, matched, log_matched = torch.stack(sums).double().view(-1, 3).unbind(1)
        count = torch.stack(counts).double()
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
        scored = (target != ctx.ignore_index).to(log_probs.dtype)
        by_class = _labels(target, ctx.ignore_index, 0)
        # What the target's own class adds to g, zero where nothing is scored.
        own = _at_target(log_probs, target, ctx.ignore_index).exp_()
        own.mul_(grad_matched.to(own.dtype)[by_class]).add_(grad_log.to(own.dtype)[by_class])
        own.mul_(scored)
        weights = grad_predicted.to(log_probs.dtype)
        grad = log_probs.exp()
        total = torch.zeros_like(own)
        for c, weight in enumerate(weights):
            total.addcmul_(grad[:, c], weight.expand_as(total))
        total.mul_(scored).add_(own)
        for c, weight in enumerate(weights):
            grad[:, c].mul_(scored * weight - total).add_(torch.where(target == c, own, 0))
        return grad, None, None


def _labels(target: Tensor, ignore_index: int, unscored: int) -> Tensor:
    """Target as an index; ``unscored`` where nothing is scored."""
    return torch.where(target == ignore_index, unscored, target).long()


def _at_target(log_probs: Tensor, target: Tensor, ignore_index: int) -> Tensor:
    """Log-probability (B, ...) of each voxel's own class; of some class where it has none."""
    return log_probs.gather(1, _labels(target, ignore_index, 0).unsqueeze(1)).squeeze(1)


def class_sums(logits: Tensor, target: Tensor, ignore_index: int = 255) -> ClassSums:
    """Sums the softmax of logits (B, C, ...) by class, in float32 whatever autocast says.

    The target (B, ...) has any integer dtype; ``ignore_index`` marks voxels that are not scored.

    Raises:
        ValueError: If the shapes do not fit.
    """
    if logits.shape[:1] + logits.shape[2:] != target.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} and target {tuple(target.shape)} do not fit: expected "
            "(B, C, ...) and (B, ...); resize the logits to the grid of the labels first"
        )
    return ClassSums(*_SumByClass.apply(logits.float(), target, ignore_index))
