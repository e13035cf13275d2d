"""The released volume of the history.

Watson et al., "The Temporal Opportunist: Self-Supervised Multi-Frame Monocular Depth" (CVPR 2021),
section 3.2, warp features so; Li et al., HTCL (ECCV 2024), take the mean of their channels.

Shape letters as in :mod:`htcl.models.volumes.sweep_volume`.
"""

from __future__ import annotations

from mmengine.registry import MODELS
from torch import Tensor

from htcl.models.volumes.sweep_volume import SweepVolume
from htcl.ops import Behind, sweep_grid, warp


@MODELS.register_module()
class MeanVolume(SweepVolume):
    """Mean over the channels of the warped features; it does not look at the current view."""

    source = "features"

    def _sweep(
        self, current: Tensor, sources: Tensor, projection: Tensor, depths: Tensor, behind: Behind
    ) -> Tensor:
        grid = sweep_grid(projection, depths, (current.shape[-2], current.shape[-1]), behind)
        # Sampling is linear: the mean may come first, which costs C times less.
        mean = sources.mean(dim=2, keepdim=True).flatten(0, 1)
        return warp(mean, grid.flatten(0, 1)).squeeze(1).unflatten(0, grid.shape[:2])
