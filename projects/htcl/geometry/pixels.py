"""Where a pixel is: the one rule of the program, and that of the published release.

``centres``: a pixel is a square whose centre has integer coordinates, so that the image begins at
-1/2. What scales with an image is the distance from its corner: a resize by s takes the pixel x to
``s x + s / 2 - 1/2``, and a map's cell is the middle of the block of pixels that it covers.

``released``: the published network takes x to ``s x``, rounds the resized size down, and spreads
the cells of a map from the first to the last pixel centre (``align_corners``).
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

PixelRule = Literal["centres", "released"]
PIXEL_RULES: tuple[PixelRule, ...] = get_args(PixelRule)


def aligns_corners(rule: PixelRule) -> bool:
    """Whether torch's resizes and samplings follow the rule with ``align_corners=True``."""
    return rule == "released"


def resize_shift(scale: float, rule: PixelRule) -> float:
    """What a resize by ``scale`` adds to the scaled coordinate of a pixel."""
    return 0.5 * scale - 0.5 if rule == "centres" else 0.0


def cell_pixels(
    length: int, count: int, rule: PixelRule, device: torch.device | str | None = None
) -> Tensor:
    """Image coordinate of each of ``count`` cells along an axis of ``length`` pixels, float64.

    ``centres``: the middle of the block of pixels that a cell covers; ``released``: the cells are
    spread from the first to the last pixel centre.
    """
    if rule == "released":
        return torch.linspace(0, length - 1, count, dtype=torch.float64, device=device)
    cells = torch.arange(count, dtype=torch.float64, device=device)
    return (cells + 0.5) * (length / count) - 0.5
