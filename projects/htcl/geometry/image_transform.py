"""How an original image becomes a network image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from htcl.errors import InvalidValueError, check_choice
from htcl.geometry.pixels import PIXEL_RULES, PixelRule, resize_shift


@dataclass(frozen=True)
class ImageTransform:
    """A resize, then a crop (or a border), then perhaps a flip.

    Attributes:
        original: (height, width) of the original image, pixels.
        resized: (height, width) after the resize.
        size: (H, W) of the network image.
        top: Rows cut off above; negative: black rows added.
        left: Columns cut off on the left; negative: black columns added.
        flipped: Whether left and right are exchanged at the end.
        pixels: The rule of pixel coordinates.
        scale: (rows, columns) pixels of the resized image an original pixel. None is the ratio of
            the sizes; the release takes the ratio that was meant, before rounding.
    """

    original: tuple[int, int]
    resized: tuple[int, int]
    size: tuple[int, int]
    top: int = 0
    left: int = 0
    flipped: bool = False
    pixels: PixelRule = "centres"
    scale: tuple[float, float] | None = None

    @classmethod
    def fit(
        cls, original: tuple[int, int], size: tuple[int, int], pixels: PixelRule = "centres"
    ) -> ImageTransform:
        """Resizes to the width of the network image and keeps the bottom rows, where the road is.

        An image that is too low after the resize gets black rows on top. The released rule rounds
        the resized size down (1241 pixels become 1279, because 1241 * (1280 / 1241) is below 1280
        in floating point), which leaves a black column on the right.

        Raises:
            InvalidValueError: If a size is not positive, or the rule is unknown.
        """
        check_choice("pixels", pixels, PIXEL_RULES)
        if min(*original, *size) <= 0:
            raise InvalidValueError(f"images need positive sizes, found {original} and {size}")
        scale = size[1] / original[1]
        whole = round if pixels == "centres" else int
        height, width = (max(whole(side * scale), 1) for side in original)
        meant = None if pixels == "centres" else (scale, scale)
        return cls(
            original, (height, width), size, top=height - size[0], pixels=pixels, scale=meant
        )

    @classmethod
    def squeeze(
        cls, original: tuple[int, int], size: tuple[int, int], pixels: PixelRule = "centres"
    ) -> ImageTransform:
        """Resizes the whole image to the network image, whatever that does to its proportions."""
        check_choice("pixels", pixels, PIXEL_RULES)
        return cls(original, size, size, pixels=pixels)

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) float64, homogeneous: network pixel = matrix @ original pixel."""
        scale_y, scale_x = self.scale or tuple(
            new / old for new, old in zip(self.resized, self.original, strict=True)
        )
        matrix = np.diag((scale_x, scale_y, 1.0))
        matrix[0, 2] = resize_shift(scale_x, self.pixels) - self.left
        matrix[1, 2] = resize_shift(scale_y, self.pixels) - self.top
        if self.flipped:
            matrix[0] = -matrix[0]
            matrix[0, 2] += self.size[1] - 1
        return matrix
