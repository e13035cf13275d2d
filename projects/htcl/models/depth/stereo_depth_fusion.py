"""Fusion of a stereo and a monocular depth distribution.

Source: "Bridging Stereo Geometry and BEV Representation with Reliable Mutual Interaction for
Semantic Scene Completion" (StereoScene, B. Li et al., IJCAI 2024).

Shape letters: M image, D depth bin, h w feature map.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from htcl.errors import InvalidValueError
from htcl.models.layers.hourglass3d import Hourglass3D, conv_gn_relu_3d


@MODELS.register_module()
class StereoDepthFusion(BaseModule):
    """Refines two distributions over the same depth bins to one by three 3D hourglasses.

    Args:
        channels: Width of the network.
        residual: True starts from the normalised product of both distributions, which is what
            independent witnesses say together, and learns what to add to its logarithm. False, as
            released, has to learn the fusion from nothing.
        num_groups: Groups of the group norms.
        init_cfg: See mmengine.
    """

    def __init__(
        self,
        channels: int = 32,
        residual: bool = False,
        num_groups: int = 2,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.residual = residual
        stem = (conv_gn_relu_3d(n, channels, num_groups=num_groups) for n in (2, channels))
        self.stem = nn.Sequential(*stem)
        self.hourglasses = nn.ModuleList(Hourglass3D(channels, num_groups) for _ in range(3))
        self.refine = conv_gn_relu_3d(channels, channels, num_groups=num_groups)
        self.head = nn.Conv3d(channels, 1, 3, padding=1)
        if residual:
            for parameter in self.head.parameters():
                nn.init.zeros_(parameter)

    def forward(self, stereo: Tensor, mono: Tensor) -> Tensor:
        """Fuses two distributions (M, D, h, w) to one.

        Raises:
            InvalidValueError: If the two differ in shape.
        """
        if stereo.shape != mono.shape:
            raise InvalidValueError(
                f"stereo {tuple(stereo.shape)} and mono {tuple(mono.shape)} distributions "
                "differ in shape; give both modules the same depth_bins and feature size"
            )
        first = self.hourglasses[0](self.stem(torch.stack((stereo, mono), dim=1)))
        second = self.hourglasses[1](first)
        third = self.hourglasses[2](second) + first
        score = self.head(self.refine(third)).squeeze(1).float()
        if self.residual:
            # The bound keeps a bin that one of the two rules out reachable for the other.
            score = score + (stereo.float().clamp_min(1e-4) * mono.float().clamp_min(1e-4)).log()
        return score.softmax(dim=1)
