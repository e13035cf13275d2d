"""The ground truth of a batch as the losses see it: B batch, X Y Z voxel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet3d.structures import Det3DDataSample
from torch import Tensor

from htcl.errors import InvalidValueError


def stack_labels(samples: Sequence[Det3DDataSample], mask: str | None, ignore_index: int) -> Tensor:
    """Labels (B, X, Y, Z) of samples with ``gt_voxels``, ``ignore_index`` outside of a mask.

    Args:
        samples: Samples of a split with labels.
        mask: Name of a mask beside the labels, such as 'mask_camera'; None: none.
        ignore_index: Value of voxels that are not looked at.

    Raises:
        InvalidValueError: If a sample has no labels, or not this mask; it is named.
    """
    labels = []
    for sample in samples:
        where = f"sample {sample.get('sequence')}/{sample.get('frame')}"
        if "gt_voxels" not in sample:
            raise InvalidValueError(f"{where} has no gt_voxels; train on a split with labels")
        truth = sample.gt_voxels
        if mask is None:
            labels.append(truth.semantics)
            continue
        if mask not in truth:
            raise InvalidValueError(
                f"{where} has no mask {mask!r} (key model.label_mask), its ground truth has "
                f"{sorted(truth.keys())}; give the name of a mask, or None"
            )
        labels.append(truth.semantics.masked_fill(~truth.get(mask).bool(), ignore_index))
    return torch.stack(labels)
