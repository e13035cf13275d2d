"""What the scene-class affinity losses share: the logarithm of a ratio of class sums.

Both losses make precision, recall and specificity differentiable. They are functions of class sums
(K,), so they cost nothing beside the pass that makes those. With n voxels scored, n_c of class c,
P_c the summed probability of c and M_c that part of P_c that lies on voxels of class c::

    precision = M_c / P_c,  recall = M_c / n_c,
    specificity = (n - n_c - (P_c - M_c)) / (n - n_c)

A ratio whose denominator is 0 contributes nothing; the released code divides and yields NaN.

Cao, de Charette, "MonoScene: Monocular 3D Semantic Scene Completion", CVPR 2022, section 3.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from htcl.losses.probabilities import probability_cross_entropy


def negative_log(numerator: Tensor, denominator: Tensor, defined: Tensor) -> Tensor:
    """-log(numerator / denominator) where ``defined`` and the denominator is positive, else 0.

    As in binary cross entropy, the logarithm ends at -100 and its slope at 1e12.
    """
    defined = defined & (denominator > 0)
    ratio = torch.where(defined, numerator, 1.0) / torch.where(defined, denominator, 1.0)
    ratio = ratio.clamp(0.0, 1.0)  # rounding of the sums may leave the interval
    # Autocast refuses binary_cross_entropy for the sake of 16-bit inputs; these are float64.
    with torch.autocast(ratio.device.type, enabled=False):
        return probability_cross_entropy(ratio, torch.ones_like(ratio))
