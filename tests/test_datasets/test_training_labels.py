from __future__ import annotations

import numpy as np
import pytest

from htcl.datasets.training_labels import downsample_labels, make_training_label


def test_invalid_voxels_become_255():
    raw = np.array([0, 10, 52, 255, 60, 10], dtype=np.uint16).reshape(1, 2, 3)
    invalid = np.array([0, 0, 0, 0, 0, 1], dtype=bool).reshape(1, 2, 3)
    labels = make_training_label(raw, invalid)
    assert labels.dtype == np.uint8
    assert labels.ravel().tolist() == [0, 1, 255, 8, 9, 255]


def test_unknown_ids_and_shapes_are_errors():
    raw = np.full((1, 1, 1), 33, dtype=np.uint16)
    with pytest.raises(ValueError, match=r"frame\.label.*33"):
        make_training_label(raw, np.zeros((1, 1, 1), dtype=bool), source="frame.label")
    with pytest.raises(ValueError, match="shape"):
        make_training_label(raw, np.zeros((1, 1, 2), dtype=bool))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0] * 8, 0),
        ([255] * 8, 255),
        ([0] * 5 + [255] * 3, 0),
        ([0] * 4 + [255] * 4, 255),
        # One occupied voxel of 8 leaves 87.5 % empty, which is not more than 95 %.
        ([0] * 7 + [9], 9),
        ([255] * 7 + [9], 9),
        ([0, 0, 0, 0, 1, 1, 9, 9], 1),
        ([0, 0, 255, 255, 1, 9, 9, 9], 9),
    ],
)
def test_pooling_of_one_block(values: list[int], expected: int):
    block = np.array(values, dtype=np.uint8).reshape(2, 2, 2)
    assert downsample_labels(block, 2).item() == expected


@pytest.mark.parametrize(("occupied", "expected"), [(25, 0), (26, 15)])
def test_95_percent_rule_of_a_large_block(occupied: int, expected: int):
    # 512 voxels: with 25 occupied 487 are empty (95.1 %), with 26 there are 486 (94.9 %).
    block = np.zeros(512, dtype=np.uint8)
    block[:occupied] = 15
    assert downsample_labels(block.reshape(8, 8, 8), 8).item() == expected


def test_pooling_equals_a_plain_loop():
    rng = np.random.default_rng(0)
    values = np.array([0, 0, 0, 0, 255, 255, 1, 1, 9, 19], dtype=np.uint8)
    labels = rng.choice(values, size=(6, 8, 4))
    labels[:4] = np.where(rng.random((4, 8, 4)) < 0.9, 0, labels[:4])
    pooled = downsample_labels(labels, 2)
    for x, y, z in np.ndindex(3, 4, 2):
        block = labels[2 * x : 2 * x + 2, 2 * y : 2 * y + 2, 2 * z : 2 * z + 2].ravel().tolist()
        classes = [value for value in block if 0 < value < 255]
        if (8 - len(classes)) / 8 > 0.95:
            expected = 0 if block.count(0) > block.count(255) else 255
        else:
            expected = max(sorted(set(classes)), key=classes.count)
        assert pooled[x, y, z] == expected


def test_grid_must_divide():
    with pytest.raises(ValueError, match="blocks of 8"):
        downsample_labels(np.zeros((8, 8, 4), dtype=np.uint8), 8)
