"""What a matching volume says of the depth.

Shape letters: M image, C channel, D depth bin, h w feature map.
"""

from __future__ import annotations

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class DepthScore(nn.Module):
    """Score of each depth, to be added to the logarithm of a depth distribution.

    It is the sum of the matching volume, weighted by channel, and of a convolution of features that
    were made from it. Both start at zero, so that an untrained score changes nothing.

    Args:
        volume_channels: Channels of the matching volume.
        feature_channels: Channels of the features.
    """

    # Steps of the optimiser are small beside the weight that an agreement deserves, a few units.
    SCALE = 10.0

    def __init__(self, volume_channels: int, feature_channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(volume_channels))
        # The name is that of the published weights.
        self.volume = nn.Conv3d(feature_channels, 1, 3, padding=1)
        for parameter in self.volume.parameters():
            nn.init.zeros_(parameter)

    def forward(self, volume: Tensor, features: Tensor) -> Tensor:
        """Matching volume (M, C, D, h, w), features (M, C', D, h, w) -> (M, D, h, w), float32."""
        agreement = torch.einsum("mcdhw,c->mdhw", volume, self.SCALE * self.gain)
        return agreement.float() + self.volume(features).squeeze(1).float()
