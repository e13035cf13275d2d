"""3D hourglass network.

Guo et al., "Group-wise Correlation Stereo Network" (CVPR 2019), section 3.3, describe the block;
HTCL uses it with group normalisation.

Shape letters: B batch, C channel, X Y Z the axes of any volume (cost volume D H W, voxels).
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
    relu: bool = True,
) -> ConvModule:
    """Bias-free size-preserving (stride 1) 3D convolution, group normalisation, perhaps ReLU.

    The kernel size is odd. The parameters are ``conv.weight``, ``gn.weight`` and ``gn.bias``.
    """
    return ConvModule(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        conv_cfg={"type": "Conv3d"},
        norm_cfg={"type": "GN", "num_groups": num_groups},
        act_cfg={"type": "ReLU"} if relu else None,
    )


class _Upsample(nn.Module):
    """Transposed convolution of stride 2 to a given size, with batch normalisation."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose3d(in_channels, out_channels, 3, 2, padding=1, bias=False)
        self.bn = nn.BatchNorm3d(out_channels)

    def forward(self, volume: Tensor, size: tuple[int, ...]) -> Tensor:
        # Naming the size makes odd sizes work: 2n-1 and 2n both shrink to n.
        return self.bn(self.conv(volume, output_size=size))


class Hourglass3D(nn.Module):
    """Two strided reductions and two transposed convolutions with projected skip connections.

    The inner levels have two and four times the ``channels`` of input and output. Group norms are
    everywhere but behind the transposed convolutions, which have batch norms. Any size is allowed.
    """

    def __init__(self, channels: int, num_groups: int = 2) -> None:
        super().__init__()
        c1, c2, c4 = channels, 2 * channels, 4 * channels
        self.down1 = conv_gn_relu_3d(c1, c2, stride=2, num_groups=num_groups)
        self.mix1 = conv_gn_relu_3d(c2, c2, num_groups=num_groups)
        self.down2 = conv_gn_relu_3d(c2, c4, stride=2, num_groups=num_groups)
        self.mix2 = conv_gn_relu_3d(c4, c4, num_groups=num_groups)
        self.up2 = _Upsample(c4, c2)
        self.skip2 = conv_gn_relu_3d(c2, c2, 1, num_groups=num_groups, relu=False)
        self.up1 = _Upsample(c2, c1)
        self.skip1 = conv_gn_relu_3d(c1, c1, 1, num_groups=num_groups, relu=False)

    def forward(self, volume: Tensor) -> Tensor:
        """Maps a volume (B,C,X,Y,Z) to one of the same shape."""
        half = self.mix1(self.down1(volume))
        quarter = self.mix2(self.down2(half))
        half = F.relu(self.up2(quarter, half.shape[2:]) + self.skip2(half))
        return F.relu(self.up1(half, volume.shape[2:]) + self.skip1(volume))
