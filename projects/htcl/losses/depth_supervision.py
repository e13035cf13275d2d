"""Supervision of the depth distribution by sparse lidar depth.

Source: "BEVDepth: Acquisition of Reliable Depth for Multi-view 3D Object Detection" (Y. Li et al.,
AAAI 2023), "Explicit Depth Supervision".

Shape letters: B batch, D depth bin, H W image, h w feature map.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmdet3d.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from htcl.ops.depth_bins import DepthBins


@MODELS.register_module()
class DepthSupervision(nn.Module):
    """Binary cross entropy of every depth bin of the labelled feature cells.

    A cell's label is the bin of the nearest lidar return in its block of pixels.

    Args:
        depth_bins: ``start``, ``stop``, ``step`` of the depth axis, metres.
        downsample: Image pixels a feature cell, along each axis.
        first_edge: Depth where bin 0 begins, metres; bin c covers a step from ``first_edge + c *
            step``. None centres each bin on its own depth, ``start - step / 2`` (1.75 for bins from
            2 m by 0.5 m). The release begins at 2.25, a quarter to three quarters of a metre too
            far.
        loss_weight: Factor of the loss.
    """

    def __init__(
        self,
        depth_bins: DepthBins | Mapping[str, float],
        downsample: int = 8,
        first_edge: float | None = None,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.depth_bins = DepthBins.build(depth_bins)
        self.downsample = downsample
        self.first_edge = (
            self.depth_bins.start - self.depth_bins.step / 2 if first_edge is None else first_edge
        )
        self.loss_weight = loss_weight

    @torch.no_grad()
    def target(self, depth_map: Tensor) -> Tensor:
        """Bins of the labelled feature cells.

        Args:
            depth_map: (B, H, W) metres, 0 = no return.

        Returns:
            (B, h, w) int64 bin, -1 = unlabelled: no return, or the nearest one beyond the bins.

        Raises:
            ValueError: If the image is no whole number of feature cells.
        """
        side = self.downsample
        batch, height, width = depth_map.shape
        if height % side or width % side:
            raise ValueError(
                f"depth_map (H, W) = {(height, width)} is not a multiple of downsample={side}"
            )
        depth = depth_map.float()
        depth = torch.where(depth > 0, depth, torch.inf)
        blocks = depth.reshape(batch, height // side, side, width // side, side)
        nearest = blocks.amin(dim=(2, 4))
        bins = ((nearest - self.first_edge) / self.depth_bins.step).floor()
        valid = (bins >= 0) & (bins < self.depth_bins.num)
        return torch.where(valid, bins, -1).long()

    def forward(self, prob: Tensor, depth_map: Tensor) -> Tensor:
        """Returns the loss, summed over the bins and averaged over the labelled cells.

        Args:
            prob: (B, D, h, w) probabilities.
            depth_map: (B, H, W) metres, 0 = no return.

        Returns:
            A scalar; zero, still a function of ``prob``, if no cell is labelled.

        Raises:
            ValueError: If the shapes do not fit each other.
        """
        target = self.target(depth_map)
        expected = (target.shape[0], self.depth_bins.num, *target.shape[1:])
        if tuple(prob.shape) != expected:
            raise ValueError(
                f"prob has shape {tuple(prob.shape)}, but depth_map {tuple(depth_map.shape)} and "
                f"the depth bins ask for {expected}"
            )
        labelled = target >= 0
        # Cross entropy of probabilities is not allowed under autocast, and needs the range of
        # float32.
        with torch.autocast(prob.device.type, enabled=False):
            rows = prob.float().permute(0, 2, 3, 1)[labelled]
            one_hot = F.one_hot(target[labelled], self.depth_bins.num).to(rows.dtype)
            loss = F.binary_cross_entropy(rows, one_hot, reduction="sum")
            return self.loss_weight * loss / max(1, len(rows))
