"""Monocular depth distribution and context features, conditioned on the camera.

Source: "BEVDepth: Acquisition of Reliable Depth for Multi-view 3D Object Detection" (Y. Li et al.,
AAAI 2023), "Camera-aware Depth Prediction", with the atrous pyramid of "Rethinking Atrous
Convolution for Semantic Image Segmentation" (L.-C. Chen et al., 2017), section 3.3.

Shape letters: M image, C channel, D depth bin, h w feature map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmdet.models.backbones.resnet import BasicBlock
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from htcl.geometry import Camera, DepthBins
from htcl.models.layers import FiniteDeformConv2d

CAMERA_VECTOR_LENGTH = 30


def camera_vector(camera: Camera) -> Tensor:
    """Calibration of cameras (M,) as numbers (M, 30) float32, unscaled: focal lengths in pixels.

    The order is: intrinsics fx, fy, cx, cy and fourth column; the upper two rows of the image
    transform; the rotation of the voxel frame's augmentation (upper 2x2 and the z scale); the
    extrinsics row by row.
    """
    k, p, a = camera.intrinsics, camera.image_transform, camera.augmentation
    numbers = [
        *(k[:, row, col] for row, col in ((0, 0), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))),
        *(p[:, row, col] for row, col in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2))),
        *(a[:, row, col] for row, col in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 2))),
        *camera.reference_from_camera[:, :3, :].flatten(1).unbind(1),
    ]
    return torch.stack([number.float() for number in numbers], dim=1)


class _CameraGate(nn.Module):
    """Scales the channels of a feature map by a sigmoid that the camera vector decides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(CAMERA_VECTOR_LENGTH, channels)
        self.fc2 = nn.Linear(channels, channels)
        self.reduce = nn.Conv2d(channels, channels, 1)
        self.expand = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, camera: Tensor) -> Tensor:
        hidden = self.fc2(F.relu(self.fc1(camera)))[:, :, None, None]
        return x * torch.sigmoid(self.expand(F.relu(self.reduce(hidden))))


class _AtrousPyramid(nn.Module):
    """Parallel dilated convolutions and a global branch, fused to the width of the input."""

    def __init__(
        self, channels: int, dilations: Sequence[int], norm_groups: int, dropout: float
    ) -> None:
        super().__init__()
        norm = {"type": "BN"}
        self.branches = nn.ModuleList([ConvModule(channels, channels, 1, norm_cfg=norm)])
        for n in dilations:
            branch = ConvModule(channels, channels, 3, padding=n, dilation=n, norm_cfg=norm)
            self.branches.append(branch)
        # A group norm, as one value a channel has no batch statistics in a batch of one image.
        group_norm = {"type": "GN", "num_groups": norm_groups}
        self.pool = ConvModule(channels, channels, 1, bias=False, norm_cfg=group_norm)
        self.fuse = ConvModule(channels * (len(self.branches) + 1), channels, 1, norm_cfg=norm)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        parts = [branch(x) for branch in self.branches]
        parts.append(self.pool(x.mean((2, 3), keepdim=True)).expand_as(x))
        return self.dropout(self.fuse(torch.cat(parts, dim=1)))


@MODELS.register_module()
class CameraAwareDepthNet(BaseModule):
    """Predicts a depth distribution and a context feature for every feature cell.

    Args:
        in_channels: Channels of the image feature.
        context_channels: Channels of the context feature.
        depth_bins: ``start``, ``stop``, ``step`` of the depth axis, metres.
        mid_channels: Width of the network.
        num_blocks: Residual blocks before the atrous pyramid.
        aspp_dilations: Dilations of the pyramid's 3x3 branches, beside a 1x1 and a global one.
        norm_groups: Groups of every group norm, the one over the camera vector included.
        deform_groups: Channel groups of the deformable convolution's weight.
        dropout: Rate after the pyramid.
        init_cfg: See mmengine.
    """

    def __init__(
        self,
        in_channels: int,
        context_channels: int,
        depth_bins: DepthBins | Mapping[str, float],
        mid_channels: int = 640,
        num_blocks: int = 3,
        aspp_dilations: Sequence[int] = (6, 12, 18),
        norm_groups: int = 2,
        deform_groups: int = 4,
        dropout: float = 0.5,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.depth_bins = DepthBins.build(depth_bins)
        self.camera_norm = nn.GroupNorm(norm_groups, CAMERA_VECTOR_LENGTH)
        norm = {"type": "GN", "num_groups": norm_groups}
        self.reduce = ConvModule(in_channels, mid_channels, 3, padding=1, bias=True, norm_cfg=norm)
        self.context_gate = _CameraGate(mid_channels)
        self.context_conv = nn.Conv2d(mid_channels, context_channels, 1)
        self.depth_gate = _CameraGate(mid_channels)
        blocks = (BasicBlock(mid_channels, mid_channels) for _ in range(num_blocks))
        self.depth_blocks = nn.Sequential(*blocks)
        self.aspp = _AtrousPyramid(mid_channels, aspp_dilations, norm_groups, dropout)
        self.deform = FiniteDeformConv2d(
            mid_channels, mid_channels, 3, padding=1, groups=deform_groups, bias=False
        )
        # Channels are (dy, dx) tap by tap.
        self.deform_offset = nn.Conv2d(mid_channels, 2 * 3 * 3, 3, padding=1)
        self.depth_conv = nn.Conv2d(mid_channels, self.depth_bins.num, 1)
        self._zero_offsets()

    def init_weights(self) -> None:
        """Initialises as configured, but lets the deformable convolution start as a plain one."""
        super().init_weights()
        self._zero_offsets()

    def forward(self, x: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
        """Features (M, C, h, w) of cameras (M,) -> logits (M, D, h, w), context (M, C', h, w)."""
        vector = self.camera_norm(camera_vector(camera))
        x = self.reduce(x)
        context = self.context_conv(self.context_gate(x, vector))
        x = self.aspp(self.depth_blocks(self.depth_gate(x, vector)))
        offset = self.deform_offset(x)
        # torchvision has no bfloat16 version of this operator on a CPU.
        with torch.autocast(x.device.type, enabled=False):
            x = self.deform(x.float(), offset.float())
        return self.depth_conv(x), context

    def _zero_offsets(self) -> None:
        for parameter in self.deform_offset.parameters():
            nn.init.zeros_(parameter)
