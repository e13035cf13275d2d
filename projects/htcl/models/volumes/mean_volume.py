"""The released volume of the history.

Watson et al., "The Temporal Opportunist: Self-Supervised Multi-Frame Monocular Depth" (CVPR 2021),
section 3.2, warp features so; Li et al., "Hierarchical Temporal Context Learning for Camera-based
Semantic Scene Completion" (ECCV 2024) take the mean of their channels.

Shape letters as in :mod:`htcl.models.volumes.sweep_volume`.
"""

from __future__ import annotations

import torch
from mmengine.registry import MODELS
from torch import Tensor

from htcl.models.volumes.sweep_volume import SweepVolume
from htcl.ops.plane_sweep import Behind, sweep_grid, warp


@MODELS.register_module()
class MeanVolume(SweepVolume):
    """Mean over the channels of the warped features; it does not look at the current view."""

    source = "features"

    def forward(
        self,
        current: Tensor,
        sources: Tensor,
        projection: Tensor,
        depths: Tensor,
        behind: Behind = "discard",
    ) -> Tensor:
        """Sweeps all planes; see :class:`SweepVolume`."""
        height, width = current.shape[-2:]
        with torch.autocast(current.device.type, enabled=False):
            grid = sweep_grid(projection.float(), depths.float(), (height, width), behind)
            # Sampling is linear: the mean may come first, which costs C times less.
            mean = sources.float().mean(dim=2, keepdim=True).flatten(0, 1)
            return warp(mean, grid.flatten(0, 1)).squeeze(1).unflatten(0, grid.shape[:2])
