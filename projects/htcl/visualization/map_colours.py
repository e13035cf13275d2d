"""Feature-sized maps (h, w), such as depth or affinity, as colours."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw

from htcl.visualization.page import INK, font, resize

NO_VALUE = (200, 200, 200)


def colour_map(
    values: np.ndarray, valid: np.ndarray, limits: tuple[float, float], scheme: str
) -> np.ndarray:
    """Paints a map, float (h, w), as uint8 (h, w, 3), grey where not ``valid``, bool (h, w).

    ``limits`` are the values at the two ends of the matplotlib colour map named ``scheme``.
    """
    import matplotlib

    low, high = limits
    share = ((values - low) / max(high - low, 1e-12)).clip(0, 1)
    colours = matplotlib.colormaps[scheme](np.nan_to_num(share))[..., :3]
    return np.where(valid[..., None], np.round(255 * colours), NO_VALUE).astype(np.uint8)


def limits_of(values: np.ndarray, valid: np.ndarray, share: float = 0.01) -> tuple[float, float]:
    """Returns the range of the valid values without ``share`` at either end; (0, 1) if none."""
    if not valid.any():
        return 0.0, 1.0
    low, high = np.quantile(values[valid], [share, 1 - share])
    return float(low), float(high)


def overlay(pictures: Iterable[np.ndarray], images: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Lays pictures over images, half and half, in their own size; uint8 (H, W, 3)."""
    return [
        (0.5 * picture + 0.5 * resize(image, picture.shape[:2])).astype(np.uint8)
        for picture, image in zip(pictures, images, strict=True)
    ]


def colour_bar(
    limits: tuple[float, float], scheme: str, unit: str, size: tuple[int, int]
) -> np.ndarray:
    """Draws a horizontal bar of the colours with numbers under it, uint8 (H, W, 3)."""
    height, width = size
    ramp = np.linspace(0, 1, width)[None].repeat(height - 26, axis=0)
    bar = np.full((height, width, 3), 255, dtype=np.uint8)
    bar[:-26] = colour_map(ramp, np.ones_like(ramp, dtype=bool), (0, 1), scheme)
    picture = Image.fromarray(bar)
    pen = ImageDraw.Draw(picture)
    for share, anchor in ((0.0, "lb"), (0.5, "mb"), (1.0, "rb")):
        text = f"{limits[0] + share * (limits[1] - limits[0]):.3g} {unit}".strip()
        place = (share * (width - 1), height - 2)
        pen.text(place, text, fill=INK, font=font(16), anchor=anchor)
    return np.asarray(picture)
