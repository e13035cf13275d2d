"""Distances from a voxel to the ends of its object: B batch, C channel, X Y Z voxel."""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from htcl.losses.boundary_distance import NUM_DIRECTIONS


@MODELS.register_module()
class BoundaryHead(BaseModule):
    """A 1x1x1 convolution for the losses on boundaries; a prediction does not need it.

    Args:
        in_channels: Channels of the voxel features.
        init_cfg: mmengine weight initialisation.
    """

    def __init__(
        self, in_channels: int, init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.regressor = nn.Conv3d(in_channels, NUM_DIRECTIONS, kernel_size=1)

    def forward(self, voxel: Tensor) -> Tensor:
        """Features (B, C, X, Y, Z) -> distances above 0 (B, 6, X, Y, Z), voxels of the labels."""
        return F.softplus(self.regressor(voxel).float())
