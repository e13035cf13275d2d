"""Scene-class affinity losses: precision, recall and specificity as differentiable numbers.

Cao, de Charette, "MonoScene: Monocular 3D Semantic Scene Completion", CVPR 2022, section 3.3.

Both losses are functions of class sums (C,), so they cost nothing beside the pass that makes those.
With n voxels scored, n_c of class c, P_c the summed probability of c and M_c that part of P_c that
lies on voxels of class c::

    precision = M_c / P_c,  recall = M_c / n_c,
    specificity = (n - n_c - (P_c - M_c)) / (n - n_c)

A ratio whose denominator is 0 is undefined and contributes nothing; the released code divides
anyway and yields NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from htcl.losses.class_sums import ClassSums


def _negative_log(numerator: Tensor, denominator: Tensor, defined: Tensor) -> Tensor:
    """-log(numerator / denominator) where ``defined`` and the denominator is positive, else 0.

    As in binary cross entropy, the logarithm ends at -100 and its slope at 1e12.
    """
    defined = defined & (denominator > 0)
    ratio = torch.where(defined, numerator, 1.0) / torch.where(defined, denominator, 1.0)
    ratio = ratio.clamp(0.0, 1.0)  # rounding of the sums may leave the interval
    # Autocast refuses binary_cross_entropy for the sake of 16-bit inputs; these are float64.
    with torch.autocast(ratio.device.type, enabled=False):
        return F.binary_cross_entropy(ratio, torch.ones_like(ratio), reduction="none")


def sem_scal_loss(sums: ClassSums) -> Tensor:
    """Mean over the classes present in the target of -log precision - log recall - log specificity.

    Args:
        sums: Class sums of the prediction.

    Returns:
        Scalar, float32; 0 if no voxel is scored.
    """
    present = sums.count > 0
    others = sums.count.sum() - sums.count
    terms = (
        _negative_log(sums.matched, sums.predicted, present)
        + _negative_log(sums.matched, sums.count, present)
        + _negative_log(others - (sums.predicted - sums.matched), others, present)
    )
    return (terms.sum() / present.sum().clamp_min(1)).float()


def geo_scal_loss(sums: ClassSums, empty_class: int = 0) -> Tensor:
    """-log precision - log recall - log specificity of "not empty".

    Args:
        sums: Class sums of the prediction.
        empty_class: Index of the class of empty voxels.

    Returns:
        Scalar, float32. Without an occupied voxel only the specificity counts, without an empty one
        only precision and recall, and without a scored one the loss is 0.
    """
    empty = sums.count[empty_class]
    occupied = sums.count.sum() - empty
    predicted_empty = sums.predicted[empty_class]
    matched_empty = sums.matched[empty_class]
    matched = occupied - (predicted_empty - matched_empty)
    predicted = sums.count.sum() - predicted_empty
    loss = (
        _negative_log(matched, predicted, occupied > 0)
        + _negative_log(matched, occupied, occupied > 0)
        + _negative_log(matched_empty, empty, empty > 0)
    )
    return loss.float()
