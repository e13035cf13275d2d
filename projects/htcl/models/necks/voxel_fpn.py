"""Upsamples the maps of a voxel encoder to one grid and concatenates them.

The 3D neck of Yan, Mao, Li, "SECOND: Sparsely Embedded Convolutional Detection", Sensors 2018.

Shape letters: B batch, C channel, X Y Z voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from htcl.errors import InvalidValueError


@MODELS.register_module()
class VoxelFPN(BaseModule):
    """Transposed convolution, group normalisation and ReLU for each map, then concatenation.

    Args:
        in_channels: Channels of each input map.
        out_channels: Channels of each map after its transposed convolution.
        upsample_strides: Upsampling factor of each map, also the kernel size: windows are disjoint.
        num_groups: Groups of every group normalisation.
        init_cfg: mmengine weight initialisation.

    Raises:
        InvalidValueError: If ``in_channels`` and ``upsample_strides`` have different lengths.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (128, 256, 512),
        out_channels: int = 128,
        upsample_strides: Sequence[int] = (1, 2, 4),
        num_groups: int = 32,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if len(in_channels) != len(upsample_strides):
            raise InvalidValueError(
                f"in_channels {tuple(in_channels)} and upsample_strides {tuple(upsample_strides)} "
                "have different lengths; give one factor for each map"
            )
        self.upsample_strides = tuple(upsample_strides)
        norm = {"type": "GN", "num_groups": num_groups}
        self.levels = nn.ModuleList(
            ConvModule(n, out_channels, s, s, conv_cfg={"type": "deconv3d"}, norm_cfg=norm)
            for n, s in zip(in_channels, upsample_strides, strict=True)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_i, X_i, Y_i, Z_i) -> (B, len(maps) * out_channels, X, Y, Z).

        X, Y and Z are those of the map with the smallest grid after its upsampling; what others
        have beyond its end is cut off, as where 10 voxels became 5 and 3.

        Raises:
            InvalidValueError: If the number of maps is wrong or the upsampled grids differ.
        """
        if len(maps) != len(self.levels):
            raise InvalidValueError(
                f"model.voxel_neck has {len(self.levels)} levels but got {len(maps)} maps; give it "
                "one entry of in_channels for each map of model.voxel_encoder"
            )
        grids = [
            tuple(size * stride for size in level.shape[2:])
            for level, stride in zip(maps, self.upsample_strides, strict=True)
        ]
        size = [min(sides) for sides in zip(*grids, strict=True)]
        strides = self.upsample_strides
        if any(
            side - least >= stride
            for grid, stride in zip(grids, strides, strict=True)
            for side, least in zip(grid, size, strict=True)
        ):
            raise InvalidValueError(
                f"model.voxel_neck's maps upsample to different grids {grids}; make each side of "
                f"the voxel grid a multiple of {max(strides)}, or upsample_strides those of "
                "model.voxel_encoder"
            )
        made = (level(x) for level, x in zip(self.levels, maps, strict=True))
        x, y, z = size
        return torch.cat([each[..., :x, :y, :z] for each in made], dim=1)
