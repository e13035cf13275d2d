"""Linear resampling of volumes along their axes.

Shape letters: B batch, C channel, X Y Z voxel.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def trilinear_resample(
    volume: Tensor, size: Sequence[int], start: Sequence[int] = (0, 0, 0), stride: int = 1
) -> Tensor:
    """Trilinear interpolation of (B, C, X, Y, Z) to (X', Y', Z'), or to a regular part of that.

    Equal to ``F.interpolate(volume, size, mode='trilinear', align_corners=False)`` followed by the
    slice ``start::stride`` along each axis, but the voxels that the slice drops are never made.
    Trilinear interpolation is linear along one axis after the other: three products with small
    matrices, whose gradients are products again and so deterministic on a GPU as well. Returns
    (B, C, ceil((X' - start) / stride), ...), float32 whatever autocast says.
    """
    volume = volume.float()
    if tuple(volume.shape[2:]) == tuple(size):
        x, y, z = (slice(first, None, stride) for first in start)
        return volume[..., x, y, z]
    with torch.autocast(volume.device.type, enabled=False):
        along_x, along_y, along_z = (
            interpolation_matrix(count, new, first, stride, volume)
            for count, new, first in zip(volume.shape[2:], size, start, strict=True)
        )
        planes = along_y @ (volume @ along_z.T)
        return (along_x @ planes.flatten(3)).unflatten(3, planes.shape[-2:])


def interpolation_matrix(count: int, size: int, start: int, stride: int, like: Tensor) -> Tensor:
    """Weights (made voxels, count) float32 of linear interpolation from ``count`` to ``size``.

    The made voxels are ``start::stride`` of the new ones; the device is that of ``like``.
    """
    identity = torch.eye(count, device=like.device)[None]
    weights = F.interpolate(identity, size=size, mode="linear", align_corners=False)[0]
    return weights[:, start::stride].T.contiguous()
