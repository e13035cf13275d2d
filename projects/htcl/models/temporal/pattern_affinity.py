"""How well the history at each depth agrees with the pattern of the current frame.

Li et al., HTCL (ECCV 2024), section on cross-frame pattern affinity: scale-aware isolation (one
dilation for each scale) and multi-group contexts (independent learners for the scales).

Shape letters: M image, C channel, S scale, D depth bin, h w feature map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from htcl.errors import InvalidValueError


@MODELS.register_module()
class PatternAffinity(nn.Module):
    """Cosine similarity over scales of context learned from the current frame and the history.

    Args:
        context_channels: Channels of the current frame's features.
        volume_channels: Channels of the warped history volume.
        dilations: Dilation of each scale's learner, released (1, 2, 4); equal ones isolate nothing.
        independent_learners: True, as released: each scale has its own weights. False: all scales
            share one learner (no multi-group contexts).
        eps: Lower bound of the norms in the cosine.

    Raises:
        InvalidValueError: If fewer than two contexts differ: no pattern could form.
    """

    def __init__(
        self,
        context_channels: int,
        volume_channels: int,
        dilations: Sequence[int] = (1, 2, 4),
        independent_learners: bool = True,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        different = len(dilations) if independent_learners else len(set(dilations))
        if different < 2:
            raise InvalidValueError(
                f"dilations={tuple(dilations)} with independent_learners={independent_learners} "
                "gives a single context, whose centred pattern is zero: use two or more"
            )
        self.dilations = tuple(dilations)
        self.independent_learners = independent_learners
        self.eps = eps
        learners = len(self.dilations) if independent_learners else 1
        self.current_context = nn.ModuleList(
            nn.Conv2d(context_channels, 1, 3) for _ in range(learners)
        )
        self.warped_context = nn.ModuleList(
            nn.ModuleDict({"conv": nn.Conv3d(volume_channels, 1, 3), "norm": nn.GroupNorm(1, 1)})
            for _ in range(learners)
        )

    def forward(self, current: Tensor, warped: Tensor) -> Tensor:
        """Affinity (M, 1, D, h, w) in [-1, 1], float32, of features and warped history.

        The current frame's features are (M, C, h, w), the warped history (M, C', D, h, w).
        """
        current = self.current_patterns(current).float()[:, :, None]
        warped = self.warped_patterns(warped).float()
        with torch.autocast(warped.device.type, enabled=False):
            current = current - current.mean(dim=1, keepdim=True)
            warped = warped - warped.mean(dim=1, keepdim=True)
            return F.cosine_similarity(current, warped, dim=1, eps=self.eps)[:, None]

    def current_patterns(self, current: Tensor) -> Tensor:
        """Context of the current frame at each scale: (M, C, h, w) -> (M, S, h, w)."""
        patterns = [
            F.conv2d(current, conv.weight, conv.bias, padding=dilation, dilation=dilation)
            for conv, dilation in self._scales(self.current_context)
        ]
        return torch.cat(patterns, dim=1)

    def warped_patterns(self, warped: Tensor) -> Tensor:
        """Context of the history at each scale: (M, C', D, h, w) -> (M, S, D, h, w)."""
        patterns = []
        for learner, dilation in self._scales(self.warped_context):
            conv = learner["conv"]
            context = F.conv3d(warped, conv.weight, conv.bias, padding=dilation, dilation=dilation)
            patterns.append(learner["norm"](F.gelu(context)))
        return torch.cat(patterns, dim=1)

    def _scales(self, learners: nn.ModuleList) -> list[tuple[Any, int]]:
        chosen = learners if self.independent_learners else [learners[0]] * len(self.dilations)
        return list(zip(chosen, self.dilations, strict=True))
