"""torchvision's deformable convolution, of which a NaN makes a NaN on every device."""

from __future__ import annotations

from torch import Tensor
from torchvision.ops import DeformConv2d


class FiniteDeformConv2d(DeformConv2d):
    """``DeformConv2d`` that survives offsets which are no numbers.

    On a CPU torchvision reads memory at the place that a NaN stands for, which ends the process.
    Here those outputs become NaN, so that a training or a prediction notices and says so.
    """

    def forward(self, input: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features (B, C, h, w), offsets (B, 2 * kh * kw, h, w) in cells -> (B, O, h, w)."""
        if offset.device.type != "cpu":
            return super().forward(input, offset, mask)
        out = super().forward(input, offset.nan_to_num(), mask)
        return out + 0 * offset.sum(dim=1, keepdim=True)
