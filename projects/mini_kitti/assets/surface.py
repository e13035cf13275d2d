"""Look and label of a piece of surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from mini_kitti.assets.materials import Material
from mini_kitti.assets.raw_labels import RawLabel

__all__ = ["Color", "Surface", "as_color", "random_color"]

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Surface:
    """Look and label of a piece of surface.

    Attributes:
        label: Raw SemanticKITTI id.
        material: Chooses texture and remission.
        color: sRGB in [0, 1].
        params: Four numbers for the texture (their meaning is in textures.py).
        seed: Varies the texture between objects of one material.
    """

    label: RawLabel
    material: Material
    color: Color
    params: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    seed: int = 0

    def tinted(self, factor: float) -> Surface:
        """Return the same surface, lighter (factor > 1) or darker."""
        return replace(self, color=as_color(np.array(self.color) * factor))


def as_color(values: ArrayLike, low: float = 0.0, high: float = 1.0) -> Color:
    """Make a colour of three numbers, each cut to [low, high]."""
    red, green, blue = np.clip(values, low, high).tolist()
    return red, green, blue


def random_color(
    rng: np.random.Generator,
    palette: Sequence[Color],
    brightness: tuple[float, float],
    limits: tuple[float, float] = (0.0, 1.0),
) -> Color:
    """Pick a colour and change its brightness by a random factor within the two given."""
    color = np.array(palette[int(rng.integers(len(palette)))])
    return as_color(color * rng.uniform(*brightness), *limits)
