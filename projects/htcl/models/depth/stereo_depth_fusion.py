"""Fusion of a stereo and a monocular depth distribution.

Source: "Bridging Stereo Geometry and BEV Representation with Reliable Mutual Interaction for
Semantic Scene Completion" (StereoScene, B. Li et al., IJCAI 2024).

Shape letters: B batch, C channel, D depth bin, h w feature map.
"""

from __future__ import annotations

import torch
from mmdet3d.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from htcl.models.layers.hourglass3d import Hourglass3D, conv_gn_relu_3d
from htcl.models.layers.recompute import recompute


@MODELS.register_module()
class StereoDepthFusion(BaseModule):
    """Refines two distributions over the same depth bins to one by three 3D hourglasses.

    Args:
        channels: Width of the network.
        residual: True starts from the normalised product of both distributions, which is what
            independent witnesses say together, and learns what to add to its logarithm. False, as
            released, has to learn the fusion from nothing.
        num_groups: Groups of the group norms.
        with_cp: Recompute the hourglasses in the backward pass to save memory.
        init_cfg: See mmengine.
    """

    def __init__(
        self,
        channels: int = 32,
        residual: bool = False,
        num_groups: int = 2,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.residual = residual
        self.with_cp = with_cp
        self.stem = nn.Sequential(
            conv_gn_relu_3d(2, channels, num_groups=num_groups),
            conv_gn_relu_3d(channels, channels, num_groups=num_groups),
        )
        self.hourglasses = nn.ModuleList(Hourglass3D(channels, num_groups) for _ in range(3))
        self.refine = conv_gn_relu_3d(channels, channels, num_groups=num_groups)
        self.head = nn.Conv3d(channels, 1, 3, padding=1)
        if residual:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    def forward(self, stereo: Tensor, mono: Tensor) -> Tensor:
        """Fuses the two.

        Args:
            stereo: (B, D, h, w) probabilities.
            mono: (B, D, h, w) probabilities.

        Returns:
            (B, D, h, w), sums to one over D.

        Raises:
            ValueError: If the two differ in shape.
        """
        if stereo.shape != mono.shape:
            raise ValueError(
                f"stereo {tuple(stereo.shape)} and mono {tuple(mono.shape)} distributions "
                "differ in shape; give both modules the same depth_bins and feature size"
            )
        x = self._run(self.stem, torch.stack((stereo, mono), dim=1))
        first = self._run(self.hourglasses[0], x)
        second = self._run(self.hourglasses[1], first)
        third = self._run(self.hourglasses[2], second) + first
        score = self.head(self._run(self.refine, third)).squeeze(1).float()
        if self.residual:
            # The bound keeps a bin that one of the two rules out reachable for the other.
            score = score + (stereo.float().clamp_min(1e-4) * mono.float().clamp_min(1e-4)).log()
        return score.softmax(dim=1)

    def _run(self, module: nn.Module, x: Tensor) -> Tensor:
        return recompute(module, module, x, enabled=self.with_cp and self.training)
