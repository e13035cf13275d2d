"""Voxel classification head.

Shape letters: B batch, C channel, X Y Z voxel, K class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from htcl.datasets.specification import DatasetSpecification, build_specification
from htcl.errors import InvalidValueError
from htcl.models.layers.hourglass3d import conv_gn_relu_3d


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

    def forward(self, voxel: Tensor) -> Tensor:
        """Voxel features (B, C, X, Y, Z) -> logits (B, K, X sx, Y sy, Z sz)."""
        logits = self.classifier(self.stem(voxel))
        if math.prod(self.subvoxels) == 1:
            return logits
        parts = logits.unflatten(1, (self.num_classes, *self.subvoxels))
        # (B, K, sx, sy, sz, X, Y, Z) -> each part beside its voxel.
        parts = parts.permute(0, 1, 5, 2, 6, 3, 7, 4)
        return parts.flatten(6, 7).flatten(4, 5).flatten(2, 3)
