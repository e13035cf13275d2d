"""Voxel classification head.

Shape letters: B batch, C channel, X Y Z voxel, K class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from htcl.datasets.specification import DatasetSpecification, build_specification
from htcl.errors import InvalidValueError
from htcl.models.layers.hourglass3d import conv_gn_relu_3d
from htcl.ops import interpolation_matrix, trilinear_resample


@MODELS.register_module()
class OccupancyHead(BaseModule):
    """3x3x3 convolution, group normalisation, ReLU, 1x1x1 convolution to the classes.

    Args:
        in_channels: Channels of the voxel features.
        mid_channels: Channels between the two convolutions.
        specification: Says how many classes there are, the empty class included.
        subvoxels: Parts (x, y, z) of a feature voxel that get logits of their own, from the
            classifier's channels (sub-pixel convolution, Shi et al., CVPR 2016). (1, 1, 1), as
            released, has one prediction a feature voxel. Coarse voxels with trilinear
            interpolation between them cannot hold a surface as thin as a label voxel.
        num_groups: Groups of the group normalisation.
        init_cfg: mmengine weight initialisation.

    Raises:
        InvalidValueError: If ``subvoxels`` is not as described.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        specification: DatasetSpecification | str | Mapping[str, Any],
        subvoxels: tuple[int, int, int] = (1, 1, 1),
        num_groups: int = 32,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if len(subvoxels) != 3 or min(subvoxels) < 1:
            raise InvalidValueError(
                f"model.head.subvoxels={subvoxels}: give three numbers of parts from 1 on, x y z"
            )
        self.num_classes = build_specification(specification).num_classes
        self.subvoxels = tuple(subvoxels)
        self.stem = conv_gn_relu_3d(in_channels, mid_channels, num_groups=num_groups)
        channels = self.num_classes * math.prod(self.subvoxels)
        self.classifier = nn.Conv3d(mid_channels, channels, kernel_size=1, bias=False)

    def forward(
        self,
        voxel: Tensor,
        size: Sequence[int] | None = None,
        start: Sequence[int] = (0, 0, 0),
        stride: int = 1,
    ) -> Tensor:
        """Logits of voxel features (B, C, X, Y, Z).

        Without a ``size``: of each part of a feature voxel, (B, K, X sx, Y sy, Z sz). Otherwise
        those interpolated at the voxels ``start::stride`` of a grid (X', Y', Z') of that size, see
        :func:`~htcl.ops.trilinear_resample`, in float32. A stride saves work here too.
        """
        features = self.stem(voxel)
        if size is not None and stride > 1:
            return self._at_some(features, size, start, stride)
        logits = self._arrange(self.classifier(features))
        return logits if size is None else trilinear_resample(logits, size, start, stride)

    def _arrange(self, logits: Tensor) -> Tensor:
        """(B, K sx sy sz, X, Y, Z) -> (B, K, X sx, Y sy, Z sz), each part beside its voxel."""
        if math.prod(self.subvoxels) == 1:
            return logits
        parts = logits.unflatten(1, (self.num_classes, *self.subvoxels))
        # (B, K, sx, sy, sz, X, Y, Z) -> (B, K, X, sx, Y, sy, Z, sz).
        parts = parts.permute(0, 1, 5, 2, 6, 3, 7, 4)
        return parts.flatten(6, 7).flatten(4, 5).flatten(2, 3)

    def _at_some(
        self, features: Tensor, size: Sequence[int], start: Sequence[int], stride: int
    ) -> Tensor:
        """Logits at some voxels: only the layers along z that they need are made.

        Then x and y are interpolated, each by one matrix product over all that is left.
        """
        batch, _, *counts = features.shape
        along_x, along_y, along_z = (
            interpolation_matrix(count * parts, new, first, stride, features)
            for count, parts, new, first in zip(counts, self.subvoxels, size, start, strict=True)
        )
        sx, sy, sz = self.subvoxels
        # Each voxel lies between two layers, or in one where they are as fine.
        layers = along_z.topk(1 if along_z.shape[1] in (1, size[2]) else 2, dim=1)
        logits: Tensor | None = None
        weight = self.classifier.weight.view(self.num_classes, sx, sy, sz, -1)
        for layer, share in zip(layers.indices.unbind(1), layers.values.unbind(1), strict=True):
            # One product for each layer n: (n, K sx sy, C) @ (n, C, B X Y).
            seen = features.index_select(4, layer // sz).permute(4, 1, 0, 2, 3).flatten(2)
            parts = weight.index_select(3, layer % sz).permute(3, 0, 1, 2, 4).flatten(1, 3)
            made = torch.bmm((share[:, None, None] * parts).to(seen.dtype), seen).float()
            logits = made if logits is None else logits + made
        assert logits is not None
        with torch.autocast(features.device.type, enabled=False):
            logits = logits.view(-1, self.num_classes, sx, sy, batch, counts[0], counts[1])
            # (n, K, sx, sy, B, X, Y) -> (X sx, n K B, Y sy).
            logits = logits.permute(5, 2, 0, 1, 4, 6, 3)
            logits = logits.reshape(counts[0] * sx, -1)
            logits = (along_x @ logits).view(-1, counts[1] * sy) @ along_y.T
        shape = (len(along_x), len(along_z), self.num_classes, batch, len(along_y))
        return logits.view(shape).permute(3, 2, 0, 4, 1)
