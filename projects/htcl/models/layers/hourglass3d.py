"""3D hourglass network.

Guo et al., "Group-wise Correlation Stereo Network" (CVPR 2019), section 3.3, describe the block;
HTCL uses it with group normalisation.

Shape letters: B batch, C channel, X Y Z the three axes of any volume (a cost volume's D H W as well
as voxels).
"""

from __future__ import annotations

from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.nn import functional as F


def conv_gn_relu_3d(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 3,
    stride: int = 1,
    num_groups: int = 2,
) -> ConvModule:
    """Bias-free size-preserving (stride 1) 3D convolution, group normalisation, ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, a multiple of ``num_groups``.
        kernel_size: Odd kernel size, the same on all axes.
        stride: Stride, the same on all axes.
        num_groups: Groups of the normalisation.

    Returns:
        A module whose parameters are called ``conv.weight``, ``gn.weight`` and ``gn.bias``.
    """
    return ConvModule(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        conv_cfg={"type": "Conv3d"},
        norm_cfg={"type": "GN", "num_groups": num_groups},
    )


class _SkipConv(ConvModule):
    """Point-wise projection of a skip connection, without activation."""

    def __init__(self, channels: int, num_groups: int) -> None:
        super().__init__(
            channels,
            channels,
            1,
            conv_cfg={"type": "Conv3d"},
            norm_cfg={"type": "GN", "num_groups": num_groups},
            act_cfg=None,
        )


class _Upsample(nn.Module):
    """Transposed convolution of stride 2 to a given size, with batch normalisation."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose3d(
            in_channels, out_channels, 3, stride=2, padding=1, bias=False
        )
        self.bn = nn.BatchNorm3d(out_channels)

    def forward(self, volume: Tensor, size: tuple[int, ...]) -> Tensor:
        # Naming the size makes odd sizes work: 2n-1 and 2n both shrink to n.
        return self.bn(self.conv(volume, output_size=size))


class Hourglass3D(nn.Module):
    """Two strided reductions and two transposed convolutions with projected skip connections.

    Only the transposed convolutions are batch-normalised; everything else has group normalisation.
    Every size of the volume is allowed.

    Args:
        channels: Channels of input and output; the inner levels have two and four times as many.
        num_groups: Groups of the group normalisations.
    """

    def __init__(self, channels: int, num_groups: int = 2) -> None:
        super().__init__()
        c1, c2, c4 = channels, 2 * channels, 4 * channels
        self.down1 = conv_gn_relu_3d(c1, c2, stride=2, num_groups=num_groups)
        self.mix1 = conv_gn_relu_3d(c2, c2, num_groups=num_groups)
        self.down2 = conv_gn_relu_3d(c2, c4, stride=2, num_groups=num_groups)
        self.mix2 = conv_gn_relu_3d(c4, c4, num_groups=num_groups)
        self.up2 = _Upsample(c4, c2)
        self.skip2 = _SkipConv(c2, num_groups)
        self.up1 = _Upsample(c2, c1)
        self.skip1 = _SkipConv(c1, num_groups)

    def forward(self, volume: Tensor) -> Tensor:
        """Maps a volume (B,C,X,Y,Z) to one of the same shape."""
        half = self.mix1(self.down1(volume))
        quarter = self.mix2(self.down2(half))
        half = F.relu(self.up2(quarter, half.shape[2:]) + self.skip2(half))
        return F.relu(self.up1(half, volume.shape[2:]) + self.skip1(volume))
