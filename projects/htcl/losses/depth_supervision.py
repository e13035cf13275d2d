"""Supervision of the depth distribution by sparse lidar depth.

Source: "BEVDepth: Acquisition of Reliable Depth for Multi-view 3D Object Detection" (Y. Li et al.,
AAAI 2023), "Explicit Depth Supervision".

Shape letters: M image, D depth bin, H W image, h w feature map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from mmengine.registry import MODELS
from torch import Tensor

from htcl.errors import InvalidValueError
from htcl.geometry import DepthBins
from htcl.losses.loss import Loss
from htcl.losses.probabilities import probability_cross_entropy


@MODELS.register_module()
class DepthSupervision(Loss):
    """Binary cross entropy of every depth bin of the labelled feature cells.

    A cell's label is the bin of the nearest lidar return in its block of pixels.

    Args:
        depth_bins: ``start``, ``stop``, ``step`` of the depth axis, metres.
        first_edge: Depth where bin 0 begins, metres; bin c covers a step from ``first_edge + c *
            step``. None centres each bin on its own depth, ``start - step / 2`` (1.75 for bins from
            2 m by 0.5 m). The release begins at 2.25, a quarter to three quarters of a metre too
            far.
        weight, name: See :class:`Loss`.
    """

    on = "depth"
    default_name = "depth"
    training_inputs: ClassVar[frozenset[str]] = frozenset({"depth_maps"})

    def __init__(
        self,
        depth_bins: DepthBins | Mapping[str, float],
        first_edge: float | None = None,
        weight: float = 1.0,
        name: str | None = None,
    ) -> None:
        super().__init__(weight, name)
        self.depth_bins = DepthBins.build(depth_bins)
        centred = self.depth_bins.start - self.depth_bins.step / 2
        self.first_edge = centred if first_edge is None else first_edge

    @torch.no_grad()
    def target(self, depth_map: Tensor, map_size: tuple[int, int]) -> Tensor:
        """Bins (M, h, w) int64 of the cells of lidar depth (M, H, W), metres, 0 = no return.

        -1 is unlabelled: no return, or the nearest one beyond the bins.

        Raises:
            InvalidValueError: If a feature cell is no whole number of pixels.
        """
        (images, height, width), (rows, columns) = depth_map.shape, map_size
        if height % rows or width % columns:
            raise InvalidValueError(
                f"the feature map (h, w) = {map_size} does not divide the depth map (H, W) = "
                f"{(height, width)}; make input_size a multiple of the stride of the image features"
            )
        depth = depth_map.float()
        depth = torch.where(depth > 0, depth, torch.inf)
        blocks = depth.reshape(images, rows, height // rows, columns, width // columns)
        nearest = blocks.amin(dim=(2, 4))
        bins = ((nearest - self.first_edge) / self.depth_bins.step).floor()
        valid = (bins >= 0) & (bins < self.depth_bins.num)
        return torch.where(valid, bins, -1).long()

    def forward(self, prob: Tensor, depth_map: Tensor) -> Tensor:
        """Sum over the bins of probabilities (M, D, h, w), mean over the labelled cells.

        The depth map is that of :meth:`target`. Without a labelled cell the loss is zero, still a
        function of ``prob``.

        Raises:
            ValueError: If the shapes do not fit each other.
        """
        images, bins, rows, columns = prob.shape
        if (images, bins) != (len(depth_map), self.depth_bins.num):
            raise ValueError(
                f"prob has shape {tuple(prob.shape)}, but depth_map {tuple(depth_map.shape)} and "
                f"the depth bins ask for {(len(depth_map), self.depth_bins.num)} first"
            )
        target = self.target(depth_map, (rows, columns))
        labelled = target >= 0
        one_hot = target[:, None] == torch.arange(bins, device=target.device).view(-1, 1, 1)
        # Cross entropy of probabilities is not allowed under autocast, and needs float32's range.
        with torch.autocast(prob.device.type, enabled=False):
            entropy = probability_cross_entropy(
                prob.float(), one_hot.float(), labelled[:, None].float(), reduction="sum"
            )
            return entropy / labelled.sum().clamp_min(1)
