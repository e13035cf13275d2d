from __future__ import annotations

import numpy as np
import pytest

from htcl.datasets.labels import (
    CLASS_NAMES,
    CLASS_VOXEL_COUNTS,
    IGNORE_INDEX,
    LEARNING_MAP,
    NUM_CLASSES,
    PALETTE,
    TRAIN_TO_RAW,
    raw_to_train,
    raw_to_train_points,
)


def test_tables_have_one_entry_a_class():
    assert NUM_CLASSES == 20 == len(CLASS_NAMES) == len(CLASS_VOXEL_COUNTS) == len(TRAIN_TO_RAW)
    assert PALETTE.shape == (20, 3) and PALETTE.dtype == np.uint8
    assert len(np.unique(PALETTE, axis=0)) == 20
    # Official RGB colours, not the BGR of the benchmark's file.
    assert tuple(PALETTE[CLASS_NAMES.index("car")]) == (100, 150, 245)
    assert tuple(PALETTE[CLASS_NAMES.index("road")]) == (255, 0, 255)
    assert tuple(PALETTE[CLASS_NAMES.index("traffic-sign")]) == (255, 0, 0)


def test_prediction_ids_map_back_to_their_class():
    np.testing.assert_array_equal(raw_to_train(TRAIN_TO_RAW), np.arange(20))


@pytest.mark.parametrize(
    ("raw", "train"),
    [
        *((0, 0), (1, 255), (52, 255), (99, 255), (10, 1), (252, 1), (60, 9), (13, 5), (16, 5)),
        *((255, 8), (253, 7), (254, 6), (256, 5), (257, 5), (258, 4), (259, 5)),
        *((7, 255), (65535, 255)),
    ],
)
def test_official_voxel_rule(raw: int, train: int):
    assert raw_to_train(np.array([[raw]], dtype=np.uint16)).item() == train


def test_points_use_the_low_16_bits_and_zero_for_unscored():
    raw = np.array([(9 << 16) | 10, 0, 1, 52, 99, 255, (65535 << 16) | 81], dtype=np.uint32)
    np.testing.assert_array_equal(raw_to_train_points(raw), [1, 0, 0, 0, 0, 8, 19])


def test_strict_mode_names_file_and_ids():
    raw = np.array([10, 7, 7, 300], dtype=np.uint16)
    assert raw_to_train(raw).tolist() == [1, IGNORE_INDEX, IGNORE_INDEX, IGNORE_INDEX]
    with pytest.raises(ValueError, match=r"08/000005\.label.*7 \(2 times\), 300 \(1 times\)"):
        raw_to_train(raw, strict=True, source="08/000005.label")
    with pytest.raises(ValueError, match=r"scan\.label"):
        raw_to_train_points(raw.astype(np.uint32), strict=True, source="scan.label")
    raw_to_train(np.array(list(LEARNING_MAP)), strict=True)


@pytest.mark.parametrize("raw", [np.array([-1]), np.array([70000]), np.array([1.0])])
def test_values_that_are_no_raw_ids_are_refused(raw: np.ndarray):
    with pytest.raises(ValueError, match=r"0\.\.65535"):
        raw_to_train(raw)
