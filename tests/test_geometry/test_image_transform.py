from __future__ import annotations

import numpy as np
import pytest
import torch

from htcl.errors import InvalidValueError
from htcl.geometry import ImageTransform, cell_pixels


def test_released_rule_of_a_kitti_image():
    fit = ImageTransform.fit((376, 1241), (384, 1280), "released")
    # 1241 * (1280 / 1241) is just below 1280, so the resized image is 1279 x 387 (387.8 cut).
    assert fit.resized == (387, 1279) and (fit.top, fit.left) == (3, 0)
    scale = 1280 / 1241
    np.testing.assert_array_equal(fit.matrix, [[scale, 0, 0], [0, scale, -3], [0, 0, 1]])
    squeeze = ImageTransform.squeeze((376, 1241), (384, 1280), "released")
    np.testing.assert_array_equal(squeeze.matrix, [[scale, 0, 0], [0, 384 / 376, 0], [0, 0, 1]])


def test_corners_go_to_corners():
    fit = ImageTransform.fit((376, 1241), (384, 1280))
    assert fit.resized == (388, 1280) and fit.top == 4
    # Image corners lie half a pixel outside of the outermost centres.
    np.testing.assert_allclose(fit.matrix @ (-0.5, -0.5, 1), (-0.5, -4.5, 1), atol=1e-9)
    np.testing.assert_allclose(fit.matrix @ (1240.5, 375.5, 1), (1279.5, 383.5, 1), atol=1e-9)


def test_a_low_image_gets_rows_on_top():
    assert ImageTransform.fit((40, 100), (64, 100)).matrix[1, 2] == 24


def test_a_flip_exchanges_the_outermost_columns():
    flip = ImageTransform((4, 10), (4, 10), (4, 10), flipped=True)
    np.testing.assert_array_equal(flip.matrix @ (0, 2, 1), (9, 2, 1))
    np.testing.assert_array_equal(flip.matrix @ (9, 2, 1), (0, 2, 1))


def test_cells_of_a_map():
    corners = cell_pixels(1280, 160, "released")
    assert (corners[0], corners[-1]) == (0, 1279)
    centres = cell_pixels(1280, 160, "centres")
    # The first cell covers pixels 0..7, the last one 1272..1279.
    assert (centres[0], centres[-1]) == (3.5, 1275.5)
    assert centres.dtype == torch.float64


def test_unknown_rules_and_empty_images_are_refused():
    with pytest.raises(InvalidValueError, match="'middle'"):
        ImageTransform.fit((4, 4), (4, 4), "middle")
    with pytest.raises(InvalidValueError, match="positive"):
        ImageTransform.fit((0, 4), (4, 4))
