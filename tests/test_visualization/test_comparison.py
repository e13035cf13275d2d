from __future__ import annotations

import numpy as np
import pytest
from street_scene import ORIGIN

from htcl.errors import InvalidValueError
from htcl.visualization import comparison as module
from htcl.visualization import render_comparison

HEIGHT = 100


@pytest.fixture
def captions(monkeypatch):
    """Collects the captions and shapes of the rows of the pages that are drawn."""
    rows = []

    class Page(module.Page):
        def add_row(self, pictures, columns, height):
            rows.append([(caption, picture.shape[:2]) for caption, picture in pictures])
            super().add_row(pictures, columns, height)

    monkeypatch.setattr(module, "Page", Page)
    return rows


def test_three_rows_with_scores_against_the_one_truth(make_result, captions):
    truth = make_result().ground_truth
    perfect = make_result(prediction=np.where(truth == 255, 0, truth), ground_truth=None)
    empty = make_result(prediction=np.zeros_like(truth))
    picture = render_comparison([perfect, empty], ["A", "B"], HEIGHT)

    _, above, behind = captions
    titles = [caption.split("\n") for caption, _ in above]
    assert titles[0] == ["Ground truth: above"]
    # The first file lacks the truth; that of the second serves both.
    assert titles[1][0] == "A: above" and titles[2][0] == "B: above"
    assert titles[1][1].startswith("In view: IoU 100.0 %   mIoU 100.0 %")
    assert titles[1][2].startswith("Out of view: IoU 100.0 %   mIoU 100.0 %")
    assert titles[2][1].startswith("In view: IoU 0.0 %   mIoU 0.0 %")
    assert [caption for caption, _ in behind] == [
        "Ground truth: from behind",
        "A: from behind",
        "B: from behind",
    ]
    assert len({shape for _, shape in above}) == len({shape for _, shape in behind}) == 1
    assert picture.dtype == np.uint8
    # Three columns and two gaps between margins.
    assert picture.shape[1] == 3 * above[0][1][1] + 2 * module.GAP + 2 * module.MARGIN


def test_each_column_shows_its_own_labels(make_result):
    full = np.full_like(make_result().prediction, 9)
    road = make_result(prediction=full, ground_truth=None)
    wall = make_result(prediction=full + 4, ground_truth=None)
    pair = render_comparison([road, wall], ["road", "building"], HEIGHT).astype(int)
    swapped = render_comparison([wall, road], ["road", "building"], HEIGHT).astype(int)
    below_legend = 300
    left, right = np.array_split(pair[below_legend:], 2, axis=1)
    # Roads are magenta, so full of blue; buildings are yellow.
    assert left[..., 2].mean() > right[..., 2].mean() + 20
    left, right = np.array_split(swapped[below_legend:], 2, axis=1)
    assert left[..., 2].mean() + 20 < right[..., 2].mean()


def test_without_truth_there_are_no_scores(make_result, captions):
    results = [make_result(ground_truth=None)] * 2
    render_comparison(results, ["A", "B"], HEIGHT)
    assert [caption for caption, _ in captions[1]] == ["A: above", "B: above"]


def test_columns_are_as_wide_as_their_titles(make_result, captions):
    for title in ("B", 14 * "wide "):
        render_comparison([make_result()] * 2, ["A", title], HEIGHT)
    usual, wide = (captions[row][0][1][1] for row in (1, 4))
    assert wide > 1.2 * usual


def test_a_rig_shows_all_its_images(rig_result):
    result = rig_result()
    result.images[0], result.images[1] = (250, 10, 20), (20, 10, 250)
    picture = render_comparison([result, result], ["A", "B"], 160)
    for colour in result.images[:, 0, 0]:
        assert (picture == colour).all(axis=2).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame": "000010"}, r"B has frame 08/000010 \(expected 08/000005\)"),
        ({"voxel_origin": ORIGIN + 1}, r"B has grid .*1\.0, -5\.4.* \(expected .*0\.0, -6\.4"),
        ({"empty_class": 3}, r"B has label of free space 3 \(expected 0\)"),
        ({"reference_from_camera": np.eye(4)[None]}, "B has cameras at other places"),
        ({"ground_truth": np.zeros((16, 16, 8), np.uint8)}, "B has other ground truth than A"),
    ],
)
def test_results_that_do_not_belong_together(make_result, changes, message):
    with pytest.raises(InvalidValueError, match=f"cannot compare with A: {message}"):
        render_comparison([make_result(), make_result(**changes)], ["A", "B"], HEIGHT)


def test_every_wrong_file_and_class_is_in_one_message(make_result):
    names = make_result().class_names
    other = make_result(class_names=(*names[:2], "bike", *names[3:]))
    fewer = make_result(class_names=names[:-1], palette=make_result().palette[:-1])
    with pytest.raises(InvalidValueError) as error:
        render_comparison([make_result(), other, fewer], ["A", "B", "C"], HEIGHT)
    assert f"B has class 2 'bike' (expected {names[2]!r})" in str(error.value)
    assert "C has number of classes 19 (expected 20)" in str(error.value)
