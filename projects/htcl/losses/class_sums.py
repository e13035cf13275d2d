"""The few numbers of a voxel prediction that cross entropy and the affinity losses depend on.

At full size a prediction has 20 x 256 x 256 x 32 log-probabilities. Voxel cross entropy,
sem_scal and geo_scal are all functions of three sums for each class, so one pass over the volume
serves the three, forwards and backwards, and nothing is kept but the log-probabilities.

Shape letters: B batch, C class, `...` any spatial axes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from htcl.ops import suits_gpu


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
    """Logits and target -> the four sums.

    The backward pass includes that of the softmax: with g the gradient in the log-probabilities,
    that in the logits is g - p * sum_c g; off the target's class g comes from ``predicted`` alone.

    The classes are handled some at a time: one by one on a CPU, so that no mask is kept; all at
    once on a GPU, in few kernels.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, target: Tensor, ignore_index: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        log_probs = F.log_softmax(logits, dim=1)
        scored = (target != ignore_index)[:, None]
        sums: list[Tensor] = []
        for part, is_class in _by_class(target, log_probs):
            logs, own = log_probs[:, part], is_class & scored
            probs, others = logs.exp().mul_(scored), ~own
            # Filled, not multiplied: a class that is masked by -inf would make 0 * -inf.
            terms = (probs, probs.masked_fill(others, 0), logs.masked_fill(others, 0), own)
            sums.append(torch.stack([_class_sum(term) for term in terms]))
        ctx.save_for_backward(log_probs, target)
        ctx.ignore_index = ignore_index
        predicted, matched, log_matched, count = torch.cat(sums, dim=1).unbind(0)
        ctx.mark_non_differentiable(count)
        return predicted, matched, log_matched, count

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_predicted: Tensor, grad_matched: Tensor, grad_log: Tensor, _: Tensor
    ) -> tuple[Tensor, None, None]:
        log_probs, target = ctx.saved_tensors
        scored = (target != ctx.ignore_index).to(log_probs.dtype)
        by_class = _labels(target, ctx.ignore_index)
        # What the target's own class adds to g, zero where nothing is scored.
        own = log_probs.gather(1, by_class[:, None]).squeeze(1).exp_()
        own.mul_(grad_matched.to(own.dtype)[by_class]).add_(grad_log.to(own.dtype)[by_class])
        own.mul_(scored)
        weights = grad_predicted.to(log_probs.dtype)
        grad = log_probs.exp()
        total = torch.einsum("bc...,c->b...", grad, weights).mul_(scored).add_(own)[:, None]
        for part, is_class in _by_class(target, log_probs):
            weight = weights[part].view(-1, *[1] * (target.dim() - 1))
            grad[:, part].mul_(scored[:, None] * weight - total).add_(is_class * own[:, None])
        return grad, None, None


def _by_class(target: Tensor, log_probs: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yields some classes, and which voxels have them as their target: (B, classes, ...) bool."""
    count = log_probs.shape[1]
    step = count if suits_gpu(log_probs) else 1
    classes = torch.arange(count, device=target.device).view(1, -1, *[1] * (target.dim() - 1))
    for first in range(0, count, step):
        part = slice(first, first + step)
        yield part, target[:, None] == classes[:, part]


def _class_sum(values: Tensor) -> Tensor:
    """Sums (B, C, ...) over all but the classes, float64."""
    axes = [axis for axis in range(values.dim()) if axis != 1]
    return values.sum(dim=axes).double()


def _labels(target: Tensor, ignore_index: int) -> Tensor:
    """Target as an index; 0 where nothing is scored."""
    return torch.where(target == ignore_index, 0, target).long()


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
