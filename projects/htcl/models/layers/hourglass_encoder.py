"""A 3D hourglass between convolutions that set the channel counts.

Shape letters: B batch, C channel, X Y Z the three axes of any volume.
"""

from __future__ import annotations

from mmengine.registry import MODELS
from torch import Tensor, nn

from htcl.models.layers.hourglass3d import Hourglass3D, conv_gn_relu_3d


@MODELS.register_module()
class HourglassEncoder(nn.Module):
    """Convolution to few channels, hourglass, convolution, linear projection.

    The temporal branch has one for the frustum volume and one for the voxels.

    Args:
        in_channels: Channels of the input.
        hidden_channels: Channels of the hourglass.
        expand_channels: Channels between the last two convolutions.
        out_channels: Channels of the output, which has no bias, normalisation or activation.
        num_groups: Groups of the group normalisations.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 32,
        expand_channels: int = 64,
        out_channels: int = 64,
        num_groups: int = 2,
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.reduce = conv_gn_relu_3d(in_channels, hidden_channels, num_groups=num_groups)
        self.hourglass = Hourglass3D(hidden_channels, num_groups=num_groups)
        self.expand = conv_gn_relu_3d(hidden_channels, expand_channels, num_groups=num_groups)
        self.project = nn.Conv3d(expand_channels, out_channels, 3, padding=1, bias=False)

    def forward(self, volume: Tensor) -> Tensor:
        """Maps a volume (B,in_channels,X,Y,Z) to (B,out_channels,X,Y,Z)."""
        return self.project(self.expand(self.hourglass(self.reduce(volume))))
