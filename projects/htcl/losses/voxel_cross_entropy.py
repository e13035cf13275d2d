"""Class-weighted cross entropy over voxels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from htcl.losses.class_sums import ClassSums


def inverse_log_frequency(counts: Sequence[float], offset: float = 0.001) -> Tensor:
    """Class weights 1 / ln(count + offset).

    The choice of Roldao, de Charette, Verroust-Blondet, "LMSCNet: Lightweight Multiscale 3D
    Semantic Completion", 3DV 2020.

    Args:
        counts: Number of training voxels of each class; each above 1.
        offset: Added to each count.

    Returns:
        Weights (C,), float32.

    Raises:
        ValueError: If a count is too small for a positive weight.
    """
    values = torch.as_tensor(counts, dtype=torch.float64) + offset
    if bool((values <= 1).any()):
        raise ValueError(
            f"class counts must exceed 1 for weights 1 / ln(count), found {float(values.min()):g}; "
            "give explicit class_weights instead"
        )
    return values.log().reciprocal().float()


def voxel_cross_entropy(sums: ClassSums, class_weights: Tensor | None = None) -> Tensor:
    """Weighted mean of -log p(target) over the scored voxels.

    Equals ``F.cross_entropy(logits, target, weight, ignore_index)``, but 0 where no voxel is
    scored.

    Args:
        sums: Class sums of the prediction.
        class_weights: Weight of each class (C,); None for equal weights.

    Returns:
        Scalar, float32.
    """
    weights = torch.ones_like(sums.count) if class_weights is None else class_weights.double()
    total = (weights * sums.count).sum()
    loss = -(weights * sums.log_matched).sum() / torch.where(total > 0, total, 1.0)
    return loss.float()
