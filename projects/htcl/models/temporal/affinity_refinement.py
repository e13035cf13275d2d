"""Refinement of the warped history by deformable sampling.

Li et al., HTCL (ECCV 2024), section on affinity-based dynamic refinement.

Shape letters: M image, C channel, D depth bin, h w feature map.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from htcl.models.layers.deformable_conv3d import DeformableConv3d


@MODELS.register_module()
class AffinityRefinement(nn.Module):
    """A cascade of deformable convolutions whose levels are merged by one convolution.

    Every level looks further than the one before. There is no normalisation or activation.

    Args:
        channels: Channels of input and output.
        hidden_channels: Channels of each level.
        num_levels: Number of levels.
        deformable: False replaces the deformable convolutions by ordinary ones.
    """

    def __init__(
        self, channels: int, hidden_channels: int = 8, num_levels: int = 3, deformable: bool = True
    ) -> None:
        super().__init__()
        widths = [channels] + [hidden_channels] * num_levels
        self.levels = nn.ModuleList(
            DeformableConv3d(c_in, c_out) if deformable else nn.Conv3d(c_in, c_out, 3, padding=1)
            for c_in, c_out in pairwise(widths)
        )
        self.fuse = nn.Conv3d(num_levels * hidden_channels, channels, 3, padding=1)

    def forward(self, volume: Tensor) -> Tensor:
        """Maps a volume (M, C, D, h, w) to one of the same shape."""
        outputs = []
        for level in self.levels:
            volume = level(volume)
            outputs.append(volume)
        return self.fuse(torch.cat(outputs, dim=1))
