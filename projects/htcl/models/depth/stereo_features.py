"""The 2D feature network of the stereo branch.

Source: "Hierarchical Neural Architecture Search for Deep Stereo Matching" (X. Cheng et al., NeurIPS
2020): the feature net that the search found.

Shape letters: M image, C channel, H W image, h w feature map (a third of H W).
"""

from __future__ import annotations

from torch import Tensor, nn

from htcl.models.layers.search_cells import FEATURE_CELL, SearchCell, conv_bn_relu

# (states' width in units of the base width, scale) of each cell.
CELLS = ((2, 0.5), (1, 2.0), (2, 0.5), (1, 2.0), (1, 1.0), (1, 1.0))


class StereoFeatureNet(nn.Module):
    """Matching features at a third of the image size.

    Args:
        base_width: Unit of all widths; the released network has 8.

    Attributes:
        out_channels: Channels of the result, four base widths.
    """

    stride = 3

    def __init__(self, base_width: int = 8) -> None:
        super().__init__()
        self.out_channels = 4 * base_width
        self.stems = nn.ModuleList(
            [
                conv_bn_relu(2, 3, 2 * base_width),
                conv_bn_relu(2, 2 * base_width, 4 * base_width, stride=self.stride),
                conv_bn_relu(2, 4 * base_width, 4 * base_width),
            ]
        )
        self.cells = nn.ModuleList()
        channels = (4 * base_width, 4 * base_width)
        for width, scale in CELLS:
            self.cells.append(SearchCell(2, channels, width * base_width, FEATURE_CELL, scale))
            channels = (channels[1], 4 * width * base_width)
        self.head = nn.Conv2d(channels[1], self.out_channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Extracts features; feature (i, j) is centred on pixel (3 i, 3 j).

        Args:
            image: (M, 3, H, W) normalised.

        Returns:
            (M, out_channels, H/3, W/3).
        """
        prev_prev = self.stems[1](self.stems[0](image))
        prev = self.stems[2](prev_prev)
        for cell in self.cells:
            prev_prev, prev = prev, cell(prev_prev, prev)
        return self.head(prev)
