"""Cells of the searched stereo networks, in two and three dimensions.

Source: "Hierarchical Neural Architecture Search for Deep Stereo Matching" (X. Cheng et al., NeurIPS
2020), section 3; the architectures that it found are data here (:class:`CellGraph`, scales).

Shape letters: B batch, C channel, D plane, h w map; maps are (B, C, h, w) or (B, C, D, h, w).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.nn import functional as F


class CellGraph(NamedTuple):
    """The wiring of a cell: three nodes, each the sum of two branches.

    Branches ``2 k`` and ``2 k + 1`` feed node ``k``. States are numbered: 0 the projected input
    before the previous one, 1 the projected previous input, 2 + k node ``k``. Each branch reads the
    state ``sources`` names; those of ``identity`` pass it on unchanged, the others convolve.
    """

    sources: tuple[int, ...]
    identity: frozenset[int]


FEATURE_CELL = CellGraph(sources=(0, 1, 1, 2, 0, 3), identity=frozenset({1}))
MATCHING_CELL = CellGraph(sources=(0, 1, 1, 2, 1, 3), identity=frozenset())


def conv_bn_relu(
    dims: int, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1
) -> ConvModule:
    """Builds a size-keeping (stride 1) bias-free convolution, batch norm and ReLU."""
    return ConvModule(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        conv_cfg={"type": f"Conv{dims}d"},
        norm_cfg={"type": f"BN{dims}d"},
    )


def resize(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Linear interpolation with the corner samples aligned; nothing to do if the size is right."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    mode = "bilinear" if x.dim() == 4 else "trilinear"
    return F.interpolate(x, size=size, mode=mode, align_corners=True)


def project_resized(projection: ConvModule, x: Tensor, size: tuple[int, ...]) -> Tensor:
    """``projection(resize(x, size))`` of a 1x1 convolution with norm and activation.

    A linear map of the channels and a linear interpolation can be exchanged, and so can a bias,
    because the weights of an interpolation sum to 1. Where the maps grow, the convolution goes
    first: it has fewer places to work on, and the interpolation mostly fewer channels.
    """
    if math.prod(size) <= math.prod(x.shape[2:]):
        return projection(resize(x, size))
    return projection.activate(projection.norm(resize(projection.conv(x), size)))


def scaled_length(length: int, scale: float) -> int:
    """Length of an axis after scaling; an odd axis keeps both end samples."""
    return int((length - 1) * scale + 1) if length % 2 else int(length * scale)


class SearchCell(nn.Module):
    """One cell.

    Args:
        dims: 2 or 3 spatial dimensions.
        in_channels: Channels of (the input before the previous one, the previous input).
        width: Channels of each state; the output has four times as many.
        graph: Wiring of the nodes.
        scale: Size of the output relative to the previous input: 0.5, 1 or 2.
    """

    def __init__(
        self,
        dims: int,
        in_channels: tuple[int, int],
        width: int,
        graph: CellGraph,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.graph = graph
        self.project_prev_prev = conv_bn_relu(dims, in_channels[0], width, kernel_size=1)
        self.project_prev = conv_bn_relu(dims, in_channels[1], width, kernel_size=1)
        self.branches = nn.ModuleList(
            nn.Identity() if branch in graph.identity else conv_bn_relu(dims, width, width)
            for branch in range(len(graph.sources))
        )

    def forward(self, prev_prev: Tensor, prev: Tensor) -> Tensor:
        """Returns state 1 and the three nodes, concatenated along C."""
        size = tuple(prev.shape[2:])
        if self.scale != 1:
            size = tuple(scaled_length(n, self.scale) for n in size)
        states = [
            project_resized(self.project_prev_prev, prev_prev, size),
            project_resized(self.project_prev, prev, size),
        ]
        for first in range(0, len(self.branches), 2):
            pair = (first, first + 1)
            one, two = (self.branches[n](states[self.graph.sources[n]]) for n in pair)
            states.append(one + two)
        return torch.cat(states[1:], dim=1)
