"""Cross entropy of probabilities that may have become NaN."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def probability_cross_entropy(
    prob: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "none"
) -> Tensor:
    """``F.binary_cross_entropy`` of probabilities (...), which a NaN makes NaN.

    PyTorch's refuses a NaN, on a GPU with an error that leaves the process unusable, so that nobody
    could say which loss of which frames it was.
    """
    loss = F.binary_cross_entropy(prob.nan_to_num(), target, weight, reduction=reduction)
    return loss + 0 * (prob.sum() if reduction == "sum" else prob)
