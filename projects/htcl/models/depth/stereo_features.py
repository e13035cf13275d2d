"""The 2D feature network of the stereo branch: the one that the search of X. Cheng et al. found.

Source: see :mod:`htcl.models.layers.search_cells`.

Shape letters: M image, C channel, H W image, h w feature map (a third of H W).
"""

from __future__ import annotations

from torch import Tensor, nn

from htcl.models.layers.search_cells import FEATURE_CELL, SearchCell, conv_bn_relu

# (states' width in units of the base width, scale) of each cell.
CELLS = ((2, 0.5), (1, 2.0), (2, 0.5), (1, 2.0), (1, 1.0), (1, 1.0))


class StereoFeatureNet(nn.Module):
    """Matching features at a third of the image size: (M, 3, H, W) -> (M, 4 * base_width, h, w).

    ``base_width``, the unit of all widths, is 8 in the released network.
    """

    stride = 3

    def __init__(self, base_width: int = 8) -> None:
        super().__init__()
        self.out_channels = 4 * base_width
        half, stem = 2 * base_width, 4 * base_width
        stems = [
            conv_bn_relu(2, 3, half),
            conv_bn_relu(2, half, stem, stride=self.stride),
            conv_bn_relu(2, stem, stem),
        ]
        self.stems = nn.ModuleList(stems)
        self.cells = nn.ModuleList()
        channels = (stem, stem)
        for width, scale in CELLS:
            self.cells.append(SearchCell(2, channels, width * base_width, FEATURE_CELL, scale))
            channels = (channels[1], 4 * width * base_width)
        self.head = nn.Conv2d(channels[1], self.out_channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Features of normalised images; feature (i, j) is centred on pixel (3 i, 3 j)."""
        prev_prev = self.stems[1](self.stems[0](image))
        prev = self.stems[2](prev_prev)
        for cell in self.cells:
            prev_prev, prev = prev, cell(prev_prev, prev)
        return self.head(prev)
