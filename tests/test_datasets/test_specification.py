from __future__ import annotations

import copy
import pickle
from dataclasses import asdict

import numpy as np
import pytest

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.specification import build_specification
from htcl.errors import InvalidValueError
from htcl.geometry import VoxelGrid

# Twelve classes: vehicles, people and the small things put together, other-ground not scored.
TWELVE = {
    "vehicle": ["car", "truck", "other-vehicle"],
    "two-wheeler": ["bicycle", "motorcycle"],
    "person": ["person", "bicyclist", "motorcyclist"],
    "post": ["pole", "traffic-sign", "trunk"],
    "ignore": ["other-ground"],
}
NAMES = SEMANTICKITTI.class_names


def test_tables_have_one_entry_a_class():
    spec = SEMANTICKITTI
    assert spec.num_classes == 20 == len(NAMES) == len(spec.class_counts) == len(spec.raw_ids)
    assert spec.colours.shape == (20, 3) and spec.colours.dtype == np.uint8
    assert len(np.unique(spec.colours, axis=0)) == 20
    # Official RGB colours, not the BGR of the benchmark's file.
    assert tuple(spec.colours[NAMES.index("car")]) == (100, 150, 245)
    assert tuple(spec.colours[NAMES.index("road")]) == (255, 0, 255)
    assert tuple(spec.colours[NAMES.index("traffic-sign")]) == (255, 0, 0)


def test_prediction_ids_map_back_to_their_class():
    raw = SEMANTICKITTI.raw_from_voxels(np.arange(20))
    assert raw.dtype == np.uint16
    np.testing.assert_array_equal(SEMANTICKITTI.voxels_from_raw(raw), np.arange(20))


@pytest.mark.parametrize(
    ("raw", "train"),
    [
        *((0, 0), (1, 255), (52, 255), (99, 255), (10, 1), (252, 1), (60, 9), (13, 5), (16, 5)),
        *((255, 8), (253, 7), (254, 6), (256, 5), (257, 5), (258, 4), (259, 5)),
        *((7, 255), (65535, 255)),
    ],
)
def test_official_voxel_rule(raw: int, train: int):
    assert SEMANTICKITTI.voxels_from_raw(np.array([[raw]], dtype=np.uint16)).item() == train


def test_points_use_the_low_16_bits_and_zero_for_unscored():
    raw = np.array([(9 << 16) | 10, 0, 1, 52, 99, 255, (65535 << 16) | 81], dtype=np.uint32)
    np.testing.assert_array_equal(SEMANTICKITTI.points_from_raw(raw), [1, 0, 0, 0, 0, 8, 19])


def test_strict_mode_names_file_and_ids():
    raw = np.array([10, 7, 7, 300], dtype=np.uint16)
    assert SEMANTICKITTI.voxels_from_raw(raw).tolist() == [1, 255, 255, 255]
    with pytest.raises(InvalidValueError, match=r"08/000005\.label.*7 \(2 times\), 300 \(1 times"):
        SEMANTICKITTI.voxels_from_raw(raw, strict=True, source="08/000005.label")
    with pytest.raises(InvalidValueError, match=r"scan\.label"):
        SEMANTICKITTI.points_from_raw(raw.astype(np.uint32), strict=True, source="scan.label")
    SEMANTICKITTI.voxels_from_raw(np.array(list(SEMANTICKITTI.voxel_map)), strict=True)


@pytest.mark.parametrize("raw", [np.array([-1]), np.array([70000]), np.array([1.0])])
def test_values_that_are_no_raw_ids_are_refused(raw: np.ndarray):
    with pytest.raises(InvalidValueError, match=r"0\.\.65535"):
        SEMANTICKITTI.voxels_from_raw(raw)


def test_stored_labels_are_checked():
    stored = np.array([0, 19, 255], dtype=np.uint8)
    np.testing.assert_array_equal(SEMANTICKITTI.voxels_from_stored(stored), stored)
    with pytest.raises(InvalidValueError, match=r"a\.npy: 1 unknown training label.*77 \(1 times"):
        SEMANTICKITTI.voxels_from_stored(np.array([3, 77], dtype=np.uint8), source="a.npy")


def test_merged_classes():
    spec = build_specification({"base": "SemanticKITTI", "merge": TWELVE})
    assert spec.num_classes == 12
    assert spec.class_names[:4] == ("empty", "vehicle", "two-wheeler", "person")
    assert spec.class_counts[1] == sum(
        SEMANTICKITTI.class_counts[NAMES.index(name)] for name in TWELVE["vehicle"]
    )
    # Raw files and ready labels say the same: truck, other ground, a sign, an outlier, nothing.
    raw = np.array([18, 49, 81, 1, 0], dtype=np.uint16)
    post = spec.class_names.index("post")
    assert spec.voxels_from_raw(raw).tolist() == [1, 255, post, 255, 0]
    stored = np.array([4, 12, 19, 255, 0], dtype=np.uint8)
    assert spec.voxels_from_stored(stored).tolist() == [1, 255, post, 255, 0]
    assert spec.points_from_raw(raw).tolist() == [1, 0, post, 0, 0]
    # A group is written as its first member.
    assert spec.raw_from_voxels(np.array([1, post])).tolist() == [10, 71]


@pytest.mark.parametrize(
    "merge", [{"a": ["car", "lorry"]}, {"a": ["car"], "b": ["car"]}, {"a": ["empty", "car"]}]
)
def test_bad_groups_are_refused(merge: dict):
    with pytest.raises(InvalidValueError, match="merge="):
        build_specification({"base": "SemanticKITTI", "merge": merge})


def test_another_grid_keeps_that_of_the_files():
    grid = {"point_cloud_range": (0, -25.6, -2, 51.2, 25.6, 4.4), "voxel_size": 0.4}
    spec = build_specification({"base": "SemanticKITTI", "grid": grid})
    assert spec.grid.shape == (128, 128, 16)
    assert spec.stored_grid == SEMANTICKITTI.grid == VoxelGrid.build({**grid, "voxel_size": 0.2})


def test_unknown_names_are_refused():
    with pytest.raises(InvalidValueError, match=r"'KITTY' is unknown.*SemanticKITTI"):
        build_specification("KITTY")
    with pytest.raises(InvalidValueError, match="colour"):
        build_specification({"base": "SemanticKITTI", "colour": "red"})


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        *(("08", ("08",)), (8, ("08",)), (0, ("00",)), ("00", ("00",))),
        *(([0, "8"], ("00", "08")), (("10",), ("10",)), ("drive_2", ("drive_2",))),
        *((None, ("08",)), ("", ("08",)), ([], ("08",))),
    ],
)
def test_sequences_in_any_form(chosen, expected: tuple):
    assert SEMANTICKITTI.select_sequences("val", chosen) == expected
    with pytest.raises(InvalidValueError, match="split='dev' is unknown"):
        SEMANTICKITTI.select_sequences("dev", chosen)


def test_it_travels_lightly_and_as_plain_data():
    spec = build_specification({"base": "SemanticKITTI", "merge": TWELVE})
    spec.voxels_from_raw(np.zeros(3, dtype=np.uint16))
    content = pickle.dumps(spec)
    assert len(content) < 4000
    assert pickle.loads(content) == spec
    assert copy.deepcopy(spec) is spec
    assert build_specification(asdict(spec)) == spec
