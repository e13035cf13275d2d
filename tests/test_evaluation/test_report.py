from __future__ import annotations

import numpy as np
from PIL import Image

from htcl.evaluation.report import (
    as_percentages,
    format_table,
    save_confusion_picture,
    scores_by_range,
)

NAMES = ("empty", "car", "road")
CONFUSION = np.array([[10, 2, 0], [2, 3, 0], [0, 1, 0]])


def test_percentages_are_keyed_by_range():
    flat = as_percentages(scores_by_range(np.stack([CONFUSION, CONFUSION]), [12.8]), NAMES)
    assert flat["IoU"] == flat["12.8m/IoU"] == 50
    assert set(flat) == {
        prefix + key
        for prefix in ("", "12.8m/")
        for key in ("IoU", "mIoU", "precision", "recall", "IoU_car", "IoU_road")
    }


def test_table_marks_absent_classes():
    table = format_table(scores_by_range(CONFUSION[None], []), NAMES, CONFUSION.sum(axis=0))
    assert "road (absent)" in table
    assert "37.50" in table


def test_confusion_picture(tmp_path):
    path = tmp_path / "new" / "confusion.png"
    save_confusion_picture(path, CONFUSION, NAMES)
    picture = np.asarray(Image.open(path).convert("L"))
    assert picture.min() < 100 < picture.max()
