from __future__ import annotations

import colorsys

import numpy as np
import pytest

from htcl.datasets.transforms import PhotometricJitter
from htcl.datasets.transforms.photometric_jitter import colour_map
from htcl.errors import InvalidValueError


def apply(matrix: np.ndarray, colour: tuple) -> np.ndarray:
    return matrix[:, :3] @ colour + matrix[:, 3]


def test_no_change():
    identity = colour_map(1, 1, 1, 0, grey=100)
    np.testing.assert_allclose(identity, np.eye(3, 4), atol=1e-12)


def test_parts_of_the_map_by_hand():
    np.testing.assert_allclose(apply(colour_map(0.5, 1, 1, 0, 90), (100, 40, 20)), (50, 20, 10))
    # Contrast 2 about grey 90: 100 -> 110, 40 -> -10 (clipped later).
    np.testing.assert_allclose(apply(colour_map(1, 2, 1, 0, 90), (100, 40, 90)), (110, -10, 90))
    grey = 0.299 * 100 + 0.587 * 40 + 0.114 * 20
    np.testing.assert_allclose(apply(colour_map(1, 1, 0, 0, 90), (100, 40, 20)), [grey] * 3)
    # A third of a turn takes red to green; grey stays grey.
    np.testing.assert_allclose(
        apply(colour_map(1, 1, 1, 1 / 3, 90), (200, 0, 0)), (0, 200, 0), atol=1e-9
    )
    np.testing.assert_allclose(apply(colour_map(1, 1, 0.3, 0.2, 90), (70, 70, 70)), [70] * 3)


def test_small_turn_shifts_the_hue():
    colour = apply(colour_map(1, 1, 1, 0.05, 0), (200, 100, 100)) / 255
    assert colorsys.rgb_to_hsv(*colour)[0] == pytest.approx(0.05, abs=0.02)


def test_all_images_change_by_the_same_function():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 6, 8, 3), dtype=np.uint8)
    results = {
        "images": images,
        "right": images[:, :, ::-1],
        "history": np.stack([images, images[:, ::-1], images]),
        "history_right": np.stack([images[:, :, ::-1], images]),
        "current": images[::-1],
    }
    before = {key: value.copy() for key, value in results.items()}
    np.random.seed(3)
    after = PhotometricJitter(prob=1.0, hue=0.1).transform(dict(results))
    assert all(
        value.dtype == np.uint8 and value.shape == before[key].shape for key, value in after.items()
    )
    assert (after["images"] != images).any()
    np.testing.assert_array_equal(after["right"], after["images"][:, :, ::-1])
    np.testing.assert_array_equal(after["history"][0], after["images"])
    np.testing.assert_array_equal(after["history"][1], after["images"][:, ::-1])
    np.testing.assert_array_equal(after["history_right"][0], after["right"])
    np.testing.assert_array_equal(after["history_right"][1], after["images"])
    np.testing.assert_array_equal(after["current"], after["images"][::-1])
    for key, value in before.items():
        np.testing.assert_array_equal(results[key], value)


def test_probability():
    images = np.full((1, 4, 4, 3), 100, dtype=np.uint8)
    step = PhotometricJitter(prob=0.0)
    assert step.transform({"images": images})["images"] is images
    with pytest.raises(InvalidValueError, match="hue"):
        PhotometricJitter(hue=0.6)
