from __future__ import annotations

import numpy as np
import pytest

from htcl.visualization.error_map import (
    CORRECT,
    ERROR_NAMES,
    ERROR_PALETTE,
    INVENTED,
    MISSED,
    WRONG_CLASS,
    error_map,
)


def test_categories():
    #                 empty, hit, missed, invented, wrong, not scored (predicted / not)
    truth = np.array([0, 9, 9, 0, 9, 255, 255], dtype=np.uint8).reshape(7, 1, 1)
    prediction = np.array([0, 9, 0, 9, 11, 9, 0], dtype=np.uint8).reshape(7, 1, 1)
    expected = [0, CORRECT, MISSED, INVENTED, WRONG_CLASS, 0, 0]
    assert error_map(prediction, truth).ravel().tolist() == expected


def test_another_empty_class():
    truth = np.array([3, 0, 0, 3, 1], dtype=np.uint8).reshape(5, 1, 1)
    prediction = np.array([3, 0, 3, 0, 0], dtype=np.uint8).reshape(5, 1, 1)
    categories = error_map(prediction, truth, empty_class=3, ignore_index=1)
    assert categories.ravel().tolist() == [0, CORRECT, MISSED, INVENTED, 0]


def test_names_and_colours_belong_together():
    assert len(ERROR_NAMES) == len(ERROR_PALETTE) == 5
    assert ERROR_NAMES[MISSED] == "missed"
    assert ERROR_NAMES[WRONG_CLASS] == "wrong class"


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(2, 2, 2\), ground truth \(3, 2, 2\)"):
        error_map(np.zeros((2, 2, 2), np.uint8), np.zeros((3, 2, 2), np.uint8))
