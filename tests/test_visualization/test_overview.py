from __future__ import annotations

import numpy as np
import pytest

from htcl.errors import InvalidValueError
from htcl.visualization import render_overview
from htcl.visualization.frame_scores import frame_scores

HEIGHT = 100


def holds(picture, colour):
    return bool((picture == np.asarray(colour, dtype=np.uint8)).all(axis=2).any())


def test_rows_add_up(make_result):
    result = make_result(
        depth_plane=np.linspace(2, 58, 480, dtype=np.float32).reshape(1, 12, 40),
        temporal_affinity=np.ones((1, 12, 40), np.float32),
    )
    plain = render_overview(result, row_height=HEIGHT)
    assert plain.dtype == np.uint8 and plain.shape[2] == 3
    without = render_overview(make_result(ground_truth=None), row_height=HEIGHT)
    row = plain.shape[0] - without.shape[0]
    assert HEIGHT < row < HEIGHT + 60
    depth = render_overview(result, depth=True, row_height=HEIGHT)
    assert depth.shape == (plain.shape[0] + row, *plain.shape[1:])
    affinity = render_overview(result, affinity=True, row_height=HEIGHT)
    assert affinity.shape == depth.shape
    error = render_overview(result, error=True, row_height=HEIGHT)
    assert error.shape[0] > plain.shape[0] + row


def test_legend_shows_every_class_colour(make_result):
    result = make_result()
    picture = render_overview(result, row_height=160)
    for name, colour in zip(result.class_names[1:], result.palette[1:], strict=True):
        assert holds(picture, colour), name


def test_classes_and_colours_are_those_of_the_result(make_result):
    """Another data set: other colours, and the empty class last."""
    labels = np.where(make_result().prediction > 0, 0, 1).astype(np.uint8)
    result = make_result(
        prediction=labels,
        ground_truth=labels,
        class_names=("matter", "free"),
        palette=np.array([(10, 200, 90), (200, 0, 0)], np.uint8),
        empty_class=1,
    )
    picture = render_overview(result, error=True, row_height=160)
    assert holds(picture, (10, 200, 90)) and not holds(picture, (200, 0, 0))
    assert "IoU 100.0 %   mIoU 100.0 % (1 classes present)" in frame_scores(result)


def test_a_rig_shows_every_camera(rig_result, make_result):
    result = rig_result(depth_plane=np.ones((2, 12, 40), np.float32))
    result.images[0], result.images[1] = (250, 10, 20), (20, 10, 250)
    picture = render_overview(result, depth=True, row_height=160)
    assert holds(picture, (250, 10, 20)) and holds(picture, (20, 10, 250))
    # Cameras stand in one column, so the page is as high as with one of them.
    one = make_result(depth_plane=np.ones((1, 12, 40), np.float32))
    assert picture.shape[0] == render_overview(one, depth=True, row_height=160).shape[0]


def test_missing_entries_are_named(make_result):
    result = make_result(ground_truth=None)
    for option, name in (
        ("error", "ground_truth"),
        ("depth", "depth_plane"),
        ("affinity", "temporal_affinity"),
    ):
        with pytest.raises(InvalidValueError, match=f"frame 08/000005 holds no {name}"):
            render_overview(result, **{option: True})
