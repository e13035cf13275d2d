"""3D residual network over a voxel grid.

The encoder of the HTCL release: a ResNet-18 like stack (He et al., "Deep Residual Learning for
Image Recognition", CVPR 2016) with 3D convolutions and group normalisation.

Shape letters: B batch, C channel, X Y Z voxel (front, left, up).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from htcl.errors import InvalidValueError
from htcl.models.layers.hourglass3d import conv_gn_relu_3d


class _ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions and a shortcut, which is a 1x1x1 convolution where shapes differ."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, num_groups: int) -> None:
        super().__init__()
        layer = partial(conv_gn_relu_3d, num_groups=num_groups)
        self.conv1 = layer(in_channels, out_channels, stride=stride)
        self.conv2 = layer(out_channels, out_channels, relu=False)
        self.shortcut = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = layer(in_channels, out_channels, 1, stride, relu=False)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.shortcut is None else self.shortcut(x)
        return self.activation(self.conv2(self.conv1(x)) + identity)


@MODELS.register_module()
class VoxelResNet3D(BaseModule):
    """Voxel features -> one map per stage.

    Args:
        in_channels: Channels of the input volume; a 1x1x1 convolution projects it first.
        widths: Channels of each stage.
        strides: Stride of each stage's first block, relative to the stage before.
        blocks_per_stage: Residual blocks in each stage.
        num_groups: Groups of every group normalisation; must divide every width.
        init_cfg: mmengine weight initialisation.

    Raises:
        InvalidValueError: If ``widths`` and ``strides`` have different lengths.
    """

    def __init__(
        self,
        in_channels: int = 128,
        widths: Sequence[int] = (128, 256, 512),
        strides: Sequence[int] = (1, 2, 2),
        blocks_per_stage: int = 2,
        num_groups: int = 32,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if len(widths) != len(strides):
            raise InvalidValueError(
                f"widths {tuple(widths)} and strides {tuple(strides)} have different lengths; "
                "give one stride for each stage"
            )
        self.input_proj = conv_gn_relu_3d(in_channels, in_channels, 1, num_groups=num_groups)
        self.stages = nn.ModuleList()
        channels = in_channels
        for width, stage_stride in zip(widths, strides, strict=True):
            stage = nn.Sequential()
            for index in range(blocks_per_stage):
                stride = stage_stride if index == 0 else 1
                stage.append(_ResidualBlock(channels, width, stride, num_groups))
                channels = width
            self.stages.append(stage)

    def forward(self, voxel: Tensor) -> list[Tensor]:
        """Features (B, C, X, Y, Z) -> one map per stage.

        Stage i has ``widths[i]`` channels and the grid divided by the product of the first i + 1
        strides (rounded up).
        """
        x = self.input_proj(voxel)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
