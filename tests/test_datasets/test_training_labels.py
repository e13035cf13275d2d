from __future__ import annotations

import numpy as np
import pytest

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.specification import build_specification
from htcl.datasets.training_labels import (
    downsample_labels,
    fit_labels,
    label_window,
    make_training_label,
)
from htcl.errors import InvalidValueError
from htcl.geometry import VoxelGrid

STORED = SEMANTICKITTI.stored_grid


def test_invalid_voxels_become_255():
    raw = np.array([0, 10, 52, 255, 60, 10], dtype=np.uint16).reshape(1, 2, 3)
    invalid = np.array([0, 0, 0, 0, 0, 1], dtype=bool).reshape(1, 2, 3)
    labels = make_training_label(raw, invalid, SEMANTICKITTI)
    assert labels.dtype == np.uint8
    assert labels.ravel().tolist() == [0, 1, 255, 8, 9, 255]


def test_unknown_ids_and_shapes_are_errors():
    raw = np.full((1, 1, 1), 33, dtype=np.uint16)
    with pytest.raises(InvalidValueError, match=r"frame\.label.*33"):
        make_training_label(
            raw, np.zeros((1, 1, 1), dtype=bool), SEMANTICKITTI, source="frame.label"
        )
    with pytest.raises(ValueError, match="shape"):
        make_training_label(raw, np.zeros((1, 1, 2), dtype=bool), SEMANTICKITTI)


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
    assert downsample_labels(block, 2, SEMANTICKITTI).item() == expected


@pytest.mark.parametrize(("occupied", "expected"), [(25, 0), (26, 15)])
def test_95_percent_rule_of_a_large_block(occupied: int, expected: int):
    # 512 voxels: with 25 occupied 487 are empty (95.1 %), with 26 there are 486 (94.9 %).
    block = np.zeros(512, dtype=np.uint8)
    block[:occupied] = 15
    assert downsample_labels(block.reshape(8, 8, 8), 8, SEMANTICKITTI).item() == expected


def test_pooling_equals_a_plain_loop():
    rng = np.random.default_rng(0)
    values = np.array([0, 0, 0, 0, 255, 255, 1, 1, 9, 19], dtype=np.uint8)
    labels = rng.choice(values, size=(6, 8, 4))
    labels[:4] = np.where(rng.random((4, 8, 4)) < 0.9, 0, labels[:4])
    pooled = downsample_labels(labels, 2, SEMANTICKITTI)
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
        downsample_labels(np.zeros((8, 8, 4), dtype=np.uint8), 8, SEMANTICKITTI)


@pytest.mark.parametrize(
    ("box", "voxel_size", "first", "edge"),
    [
        ((0, -25.6, -2, 51.2, 25.6, 4.4), 0.2, (0, 0, 0), 1),
        ((0, -25.6, -2, 51.2, 25.6, 4.4), 1.6, (0, 0, 0), 8),
        # Half as long and wide, without the lowest metre, pooled by two.
        ((0, -12.8, -1, 25.6, 12.8, 4.2), 0.4, (0, 64, 5), 2),
    ],
)
def test_grids_made_of_stored_voxels(box: tuple, voxel_size: float, first: tuple, edge: int):
    grid = VoxelGrid.from_range(box, voxel_size)
    window, found = label_window(STORED, grid)
    assert found == edge and tuple(part.start for part in window) == first
    labels = np.random.default_rng(0).integers(0, 20, STORED.shape).astype(np.uint8)
    specification = build_specification({"base": "SemanticKITTI", "grid": grid})
    fitted = fit_labels(labels, specification)
    assert fitted.shape == grid.shape
    np.testing.assert_array_equal(fitted, downsample_labels(labels[window], edge, specification))


@pytest.mark.parametrize(
    ("box", "voxel_size"),
    [
        ((0, -24, -2, 48, 24, 4), 0.3),
        ((0.1, -25.6, -2, 25.7, 25.6, 4.4), 0.2),
        ((0, -25.6, -2, 102.4, 25.6, 4.4), 0.2),
        ((0, -25.6, -2, 51.2, 25.6, 4.4), 0.1),
        ((0, -25.6, -2, 51.2, 25.6, 4.4), (0.2, 0.2, 0.4)),
    ],
)
def test_other_grids_are_refused(box: tuple, voxel_size):
    with pytest.raises(InvalidValueError, match=r"blocks of 2, 4, 8.*inside the stored grid"):
        label_window(STORED, VoxelGrid.from_range(box, voxel_size))
