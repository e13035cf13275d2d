"""3D convolution whose taps move in height and width.

Ying et al., "Deformable 3D Convolution for Video Super-Resolution" (IEEE SPL 2020), in the variant
that does not move the taps along the first spatial axis.

Shape letters: B batch, C channel, O output channel, D depth bin, H W feature map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import deform_conv2d

from htcl.ops.device import suits_gpu


class DeformableConv3d(nn.Conv3d):
    """Size-preserving 3D convolution with learned offsets along H and W.

    Since no tap moves along D, the layer is a sum over the depth taps of 2D deformable convolutions
    of shifted slices; these run as one call with an offset group for each depth tap.

    Channels ``2n`` and ``2n+1`` of the offsets are the H and W offset of tap
    ``n = (kd*k + kh)*k + kw``, in cells. Samples are bilinear, with zeros outside the map. The
    offset convolution starts at zero, so that an untrained layer is an ordinary convolution. The
    kernel size is odd, the same on all axes.

    Raises:
        ValueError: If ``kernel_size`` is even.
    """

    bias: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(
                f"DeformableConv3d(kernel_size={kernel_size}): must be odd to keep the size"
            )
        pad = kernel_size // 2
        super().__init__(in_channels, out_channels, kernel_size, padding=pad)
        self.conv_offset = nn.Conv3d(in_channels, 2 * kernel_size**3, kernel_size, padding=pad)
        for parameter in self.conv_offset.parameters():
            nn.init.zeros_(parameter)

    def forward(self, volume: Tensor) -> Tensor:
        """Maps a volume (B,C,D,H,W) to (B,O,D,H,W)."""
        return self.sample(volume, self.conv_offset(volume))

    def sample(self, volume: Tensor, offsets: Tensor) -> Tensor:
        """The convolution with offsets (B,2*k^3,D,H,W) in cells; (B,O,D,H,W), in float32."""
        with torch.autocast(volume.device.type, enabled=False):
            sampler = self._sample if suits_gpu(volume) else self._sample_on_cpu
            return sampler(volume.float(), offsets.float())

    def _sample(self, volume: Tensor, offsets: Tensor) -> Tensor:
        """One torchvision call with an offset group for each depth tap."""
        batch, _, depth, height, width = volume.shape
        slices = torch.cat(self._depth_taps(volume), dim=2).flatten(0, 1)
        # (O,C,kd,kh,kw) -> (O,kd*C,kh,kw), the channel order of the slices.
        weight = self.weight.float().transpose(1, 2).flatten(1, 2)
        out = deform_conv2d(
            slices,
            offsets.transpose(1, 2).reshape(batch * depth, -1, height, width),
            weight,
            self.bias.float(),
            padding=self.kernel_size[0] // 2,
        )
        return out.view(batch, depth, -1, height, width).transpose(1, 2)

    def _sample_on_cpu(self, volume: Tensor, offsets: Tensor) -> Tensor:
        """The same by ``grid_sample``, whose CPU backward is several times faster."""
        batch, _, depth, height, width = volume.shape
        kernel = self.kernel_size[0]
        offsets = offsets.view(batch, kernel, kernel**2, 2, depth, height, width)
        # Position of every tap before its offset, (kh*kw,H,W).
        shifts = torch.arange(kernel, device=volume.device, dtype=volume.dtype) - kernel // 2
        rows = torch.arange(height, device=volume.device) + shifts[:, None]
        columns = torch.arange(width, device=volume.device) + shifts[:, None]
        rows = rows[:, None, :, None].expand(-1, kernel, -1, width).flatten(0, 1)
        columns = columns[None, :, None, :].expand(kernel, -1, height, -1).flatten(0, 1)
        out = self.bias.float()[:, None]
        for tap, source in enumerate(self._depth_taps(volume)):
            # (B,kh*kw,2,D,H,W) -> (B*D,kh*kw,2,H,W)
            moved = offsets[:, tap].permute(0, 3, 1, 2, 4, 5).flatten(0, 1)
            y = (2 * (moved[:, :, 0] + rows) + 1) / height - 1
            x = (2 * (moved[:, :, 1] + columns) + 1) / width - 1
            grid = torch.stack([x, y], dim=-1).flatten(1, 2)
            samples = F.grid_sample(source.flatten(0, 1), grid, align_corners=False)
            samples = samples.view(batch * depth, -1, height * width)
            out = out + self.weight[:, :, tap].float().flatten(1) @ samples
        return out.view(batch, depth, -1, height, width).transpose(1, 2)

    def _depth_taps(self, volume: Tensor) -> list[Tensor]:
        """What each depth tap of the kernel sees: k shifted copies (B,D,C,H,W), zero outside."""
        depth, kernel = volume.shape[2], self.kernel_size[0]
        padded = F.pad(volume, (0, 0, 0, 0, kernel // 2, kernel // 2)).transpose(1, 2)
        return [padded[:, tap : tap + depth] for tap in range(kernel)]
