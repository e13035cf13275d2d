"""A prediction of voxels beside the truth, as the losses see it.

Shape letters: B batch, K class, X Y Z voxel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from htcl.losses.class_sums import ClassSums, class_sums


@dataclass(frozen=True, eq=False)
class VoxelPrediction:
    """Logits at labelled voxels.

    Attributes:
        logits: (B, K, X, Y, Z).
        target: Class of each voxel (B, X, Y, Z), any integer dtype.
        ignore_index: Target value of voxels that are not scored.
    """

    logits: Tensor
    target: Tensor
    ignore_index: int = 255

    @cached_property
    def class_sums(self) -> ClassSums:
        """One pass over the volume for all losses that are functions of these sums."""
        return class_sums(self.logits, self.target, self.ignore_index)
