from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from htcl.datasets.specification import DatasetSpecification
from htcl.evaluation.report import (
    as_percentages,
    format_table,
    save_confusion_picture,
    scores_by_region,
)
from htcl.geometry import VoxelGrid

NAMES = ("empty", "car", "road")
TOY = DatasetSpecification(
    name="toy",
    class_names=NAMES,
    palette=((0, 0, 0),) * 3,
    voxel_map={0: 0, 1: 1, 2: 2},
    point_map={0: 0, 1: 1, 2: 2},
    raw_ids=(0, 1, 2),
    grid=VoxelGrid((0, 0, 0), 1, (2, 2, 2)),
)
CONFUSION = np.array([[10, 2, 0], [2, 3, 0], [0, 1, 0]])


def test_percentages_are_keyed_by_region():
    flat = as_percentages(scores_by_region({"full": CONFUSION, "12.8m": CONFUSION}, TOY), TOY)
    assert flat["IoU"] == flat["12.8m/IoU"] == 50
    assert set(flat) == {
        prefix + key
        for prefix in ("", "12.8m/")
        for key in ("IoU", "mIoU", "precision", "recall", "IoU_car", "IoU_road")
    }


def test_table_marks_absent_classes():
    table = format_table(scores_by_region({"full": CONFUSION}, TOY), TOY, CONFUSION.sum(axis=0))
    assert "road (absent)" in table
    assert "37.50" in table


def test_table_says_what_it_is_of():
    scores = scores_by_region({"full": CONFUSION}, TOY)
    last = format_table(scores, TOY, CONFUSION.sum(axis=0)).splitlines()[-1]
    assert last == (
        "18 voxels are scored, none of value 255; mIoU: mean of 2 classes without empty, where one "
        "without a true voxel counts as 0"
    )
    masked = replace(TOY, scored_mask="mask_camera", absent_classes="left_out")
    last = format_table(scores, masked, CONFUSION.sum(axis=0)).splitlines()[-1]
    assert "255 or outside mask_camera; mIoU" in last
    assert last.endswith("where one without a true voxel is left out")


def test_table_omits_columns_but_not_scores():
    scores = scores_by_region({"full": CONFUSION, "51.2m": CONFUSION, "in_view": CONFUSION}, TOY)
    heading = format_table(scores, TOY, CONFUSION.sum(axis=0), omit=["51.2m"]).splitlines()[1]
    assert heading.split() == ["|", "|", "full", "|", "in_view", "|"]
    assert as_percentages(scores, TOY)["51.2m/IoU"] == 50


def test_confusion_picture(tmp_path):
    path = tmp_path / "new" / "confusion.png"
    save_confusion_picture(path, CONFUSION, NAMES)
    picture = np.asarray(Image.open(path).convert("L"))
    assert picture.min() < 100 < picture.max()


def test_the_empty_class_may_be_the_last_one():
    last = replace(TOY, class_names=("car", "road", "free"), empty_class=2)
    turned = np.roll(CONFUSION, -1, axis=(0, 1))
    expected = as_percentages(scores_by_region({"full": CONFUSION}, TOY), TOY)
    assert as_percentages(scores_by_region({"full": turned}, last), last) == expected
