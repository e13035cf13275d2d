"""Enlarges images to Pillow's very bits in a fraction of its time: h w original, H W result."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numba
import numpy as np
from PIL import Image

# Pillow's weights are integers with so many bits behind the point, of at most so many pixels.
_BITS, _TAPS = 22, 7


def resize(image: np.ndarray, size: tuple[int, int], resampling: int) -> np.ndarray:
    """Resizes an image (h, w, 3) uint8 to ``size`` (H, W) with a ``PIL.Image.Resampling``."""
    (old_height, old_width), (height, width) = image.shape[:2], size
    if height < old_height or width < old_width:
        # More than _TAPS pixels, and the order of Pillow's passes depends on the sizes.
        return np.array(Image.fromarray(image).resize((width, height), resampling))
    # Columns first, as Pillow, for the rounding in between; as rows they fill the vector units.
    columns = cv2.transpose(image).reshape(old_width, -1)
    wide = _mix_rows(columns, *_weights(old_width, width, resampling))
    rows = cv2.transpose(wide.reshape(width, old_height, 3)).reshape(old_height, -1)
    return _mix_rows(rows, *_weights(old_height, height, resampling)).reshape(height, width, 3)


@lru_cache(maxsize=32)
def _weights(old: int, new: int, resampling: int) -> tuple[np.ndarray, np.ndarray]:
    """First old pixel (new,) and weights (new, taps) int32 of each new pixel."""
    # Pillow says itself what each old pixel gives to the new ones.
    units = Image.fromarray(np.eye(old, dtype=np.int32) << _BITS)
    dense = np.asarray(units.resize((new, old), resampling)).T
    taps = min(_TAPS, old)
    first = np.minimum((dense != 0).argmax(axis=1), old - taps)
    return first, np.take_along_axis(dense, first[:, None] + np.arange(taps), axis=1)


@numba.njit(cache=True, nogil=True)
def _mix_rows(image: np.ndarray, first: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sums (new, n) uint8 of rows (old, n) uint8."""
    result = np.empty((len(first), image.shape[1]), dtype=np.uint8)
    total = np.empty(image.shape[1], dtype=np.int32)
    for row in range(len(first)):
        total[:] = 1 << (_BITS - 1)
        for tap in range(weights.shape[1]):
            old, weight = image[first[row] + tap], weights[row, tap]
            if weight:
                for n in range(total.size):
                    total[n] += np.int32(old[n]) * weight
        for n in range(total.size):
            result[row, n] = min(max(total[n] >> _BITS, 0), 255)
    return result
