"""Photometric augmentation of all images of a sample."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from mmengine.registry import TRANSFORMS

from htcl.datasets.transforms.pack import IMAGE_KEYS
from htcl.datasets.transforms.step import Step
from htcl.errors import InvalidValueError

# Luma weights of ITU-R BT.601, the usual grey value of an RGB pixel.
_LUMA = np.array([0.299, 0.587, 0.114])


@TRANSFORMS.register_module()
class PhotometricJitter(Step):
    """Changes brightness, contrast, saturation and hue of a sample's images.

    Stereo and history matching compare colours between images, so all images of all cameras are
    changed by one and the same function of the pixel, an affine map of its RGB value: a factor for
    brightness, a stretch about the mean grey value of all images for contrast, a blend with the
    pixel's own grey for saturation, and a turn about the grey axis for hue. Off in the released
    configuration (leave it out).

    Required Keys: images; right, history, history_right and current if present.

    Modified Keys: the same; shapes and uint8 kept.

    Args:
        prob: Probability that a sample is changed at all.
        brightness: Factor drawn from [1 - b, 1 + b].
        contrast: Factor drawn from [1 - c, 1 + c].
        saturation: Factor drawn from [1 - s, 1 + s].
        hue: Shift drawn from [-h, h], in turns of the colour circle, at most 0.5.

    Raises:
        InvalidValueError: If a range is outside its limits.
    """

    def __init__(
        self,
        prob: float = 0.5,
        brightness: float = 0.2,
        contrast: float = 0.2,
        saturation: float = 0.2,
        hue: float = 0.02,
    ) -> None:
        self.prob = prob
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        for key, value in vars(self).items():
            limit = 0.5 if key == "hue" else 1.0
            if not 0 <= value <= limit:
                raise InvalidValueError(f"{key} must be in 0..{limit}, found {value}")

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Changes the images."""
        if np.random.rand() >= self.prob:
            return results
        keys = [key for key in IMAGE_KEYS if key in results]
        total = sum(results[key].sum(dtype=np.float64) for key in keys)
        matrix = colour_map(
            brightness=np.random.uniform(1 - self.brightness, 1 + self.brightness),
            contrast=np.random.uniform(1 - self.contrast, 1 + self.contrast),
            saturation=np.random.uniform(1 - self.saturation, 1 + self.saturation),
            hue=np.random.uniform(-self.hue, self.hue),
            grey=total / sum(results[key].size for key in keys),
        )
        for key in keys:
            shape = results[key].shape
            # OpenCV takes one image: those of a stack are put below one another.
            flat = results[key].reshape(-1, *shape[-2:])
            results[key] = cv2.transform(flat, matrix).reshape(shape)
        return results


def colour_map(
    brightness: float, contrast: float, saturation: float, hue: float, grey: float
) -> np.ndarray:
    """Builds the affine map of RGB values, (3, 4) float64: new = M[:, :3] @ old + M[:, 3].

    Args:
        brightness: Factor.
        contrast: Factor of the distance from ``brightness * grey``.
        saturation: 0 is grey, 1 leaves the colours.
        hue: Turn about the grey axis, in full turns; red goes towards green.
        grey: Mean value of the images, 0..255.
    """
    turn, _ = cv2.Rodrigues(np.full(3, 2 * np.pi * hue / np.sqrt(3)))
    saturate = saturation * np.eye(3) + (1 - saturation) * np.tile(_LUMA, (3, 1))
    linear = brightness * contrast * turn @ saturate
    # Both turn and saturation leave grey values as they are.
    offset = np.full((3, 1), (1 - contrast) * brightness * grey)
    return np.hstack([linear, offset])
