"""The 3D matching network of the stereo branch: the one that the search of X. Cheng et al. found.

Source: see :mod:`htcl.models.layers.search_cells`.

Shape letters: M image, C channel, P depth plane, h w feature map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from htcl.models.layers.search_cells import MATCHING_CELL, SearchCell, conv_bn_relu

# (states' width in units of the base width, scale) of each cell.
CELLS = (
    (2, 0.5), (2, 1.0), (4, 0.5), (4, 1.0), (2, 2.0),
    (4, 0.5), (4, 1.0), (4, 1.0), (2, 2.0),
    (2, 1.0), (1, 2.0), (2, 0.5),
)  # fmt: skip
# Cells whose outputs, with the named later one, are fused into that cell's result: both fusions mix
# in an earlier half-resolution map of the same size. The second one takes cell 4's own output, not
# the first fusion.
FUSIONS = {4: 1, 8: 4}


class StereoMatchingNet(nn.Module):
    """Turns a cost volume into one matching cost a plane and pixel.

    ``base_width``, the unit of all widths, is 8 in the released network.
    """

    # Two halvings must be exactly undone by two doublings on every axis.
    size_multiple = 8

    def __init__(self, in_channels: int, base_width: int = 8) -> None:
        super().__init__()
        stem = 4 * base_width
        self.stems = nn.ModuleList(conv_bn_relu(3, n, stem) for n in (in_channels, stem))
        self.cells, self.fusions = nn.ModuleList(), nn.ModuleList()
        channels = (stem, stem)
        outputs: list[int] = []
        for number, (width, scale) in enumerate(CELLS):
            self.cells.append(SearchCell(3, channels, width * base_width, MATCHING_CELL, scale))
            outputs.append(4 * width * base_width)
            if number in FUSIONS:
                joined = outputs[FUSIONS[number]] + outputs[number]
                self.fusions.append(conv_bn_relu(3, joined, 8 * base_width))
            previous = 8 * base_width if number in FUSIONS else outputs[number]
            channels = (channels[1], previous)
        self.reduce = conv_bn_relu(3, channels[1], 4 * base_width, kernel_size=1)
        self.head = nn.Conv3d(4 * base_width, 1, 3, padding=1)

    def forward(self, volume: Tensor) -> Tensor:
        """Cost (M, 1, P, h, w) of a volume (M, C, P, h, w), low where the views match.

        Raises:
            ValueError: If an axis of the volume is no multiple of 8.
        """
        size = tuple(volume.shape[2:])
        if any(n % self.size_multiple for n in size):
            raise ValueError(
                f"the matching volume (planes, rows, columns) = {size} must be multiples of "
                f"{self.size_multiple}; choose input_size and max_disparity as multiples of 24"
            )
        prev_prev = self.stems[0](volume)
        prev = self.stems[1](prev_prev)
        outputs: dict[int, Tensor] = {}
        fusions = iter(self.fusions)
        for number, cell in enumerate(self.cells):
            output = cell(prev_prev, prev)
            if number in FUSIONS.values():
                outputs[number] = output
            if number in FUSIONS:
                earlier = outputs.pop(FUSIONS[number])
                output = next(fusions)(torch.cat((earlier, output), dim=1))
            prev_prev, prev = prev, output
        cost = F.interpolate(self.reduce(prev), size=size, mode="trilinear", align_corners=True)
        return self.head(cost)
