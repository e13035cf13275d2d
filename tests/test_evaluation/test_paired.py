"""Comparing two networks frame by frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from htcl.errors import InvalidValueError, MissingFileError
from htcl.evaluation.paired import FrameScores, compare_frames


def _scores(hits, total=100):
    """Two classes, empty and road: each frame has so many road voxels right, the rest missed."""
    matrices = [[[[0, total - hit], [0, hit]]] for hit in hits]
    names = tuple(f"08/{index:06d}" for index in range(len(hits)))
    confusions = np.array(matrices, dtype=np.int64)
    return FrameScores(names, ("full",), confusions, ("empty", "road"), 0, "zero")


def test_a_gain_in_every_frame_is_one():
    """50 % against 60 % in all frames: whichever are drawn, the difference is 10."""
    score = compare_frames(_scores([50] * 8), _scores([60] * 8))["full"]["mIoU"]
    assert (score.first, score.second) == (50, 60)
    assert score.low == pytest.approx(10) and score.high == pytest.approx(10)
    assert score.differs


def test_a_gain_in_one_frame_may_be_luck():
    """The gain of 80 in one of 8 frames is 10 in the mean, but a third of the draws lack it."""
    score = compare_frames(_scores([10] * 8), _scores([90] + [10] * 7))["full"]["mIoU"]
    assert (score.first, score.second) == (10, 20)
    assert score.low == 0
    # 3 of 8 draws and more are 30 and more; 95 % of the draws hold the frame 3 times at most.
    assert score.high == pytest.approx(30)
    assert not score.differs


def test_frames_are_drawn_in_pairs():
    """Frames differ by 80, both networks by 1: alone each is unsure, together they are not."""
    first, second = _scores([10, 90] * 4), _scores([11, 91] * 4)
    score = compare_frames(first, second)["full"]["IoU"]
    assert score.low == pytest.approx(1) and score.high == pytest.approx(1)


def test_the_interval_of_a_mean_is_the_textbooks():
    """For many frames the bootstrap gives the mean +- 1.96 standard errors."""
    rng = np.random.default_rng(0)
    gains = rng.integers(0, 21, size=400)
    score = compare_frames(_scores([30] * 400), _scores(30 + gains), draws=4000)["full"]["IoU"]
    error = 1.96 * gains.std() / np.sqrt(400)
    assert score.second - score.first == pytest.approx(gains.mean())
    assert score.low == pytest.approx(gains.mean() - error, abs=0.1)
    assert score.high == pytest.approx(gains.mean() + error, abs=0.1)


def test_only_regions_of_both_are_compared():
    one = _scores([50])
    more = replace(one, regions=("12.8m", "full"), confusions=np.repeat(one.confusions, 2, axis=1))
    assert list(compare_frames(more, one, draws=2)) == ["full"]


@pytest.mark.parametrize(
    ("change", "named"),
    (
        ({"frames": ("09/000000",)}, "frames"),
        ({"class_names": ("empty", "car")}, "class_names"),
        ({"absent_classes": "left_out"}, "absent_classes"),
    ),
)
def test_what_cannot_be_compared(change, named):
    with pytest.raises(InvalidValueError, match=f"differ in {named}"):
        compare_frames(_scores([50]), replace(_scores([50]), **change))


def test_files(tmp_path):
    written = _scores([50, 60])
    written.write(tmp_path / "a.npz")
    read = FrameScores.read(tmp_path / "a.npz")
    assert np.array_equal(read.confusions, written.confusions)
    assert replace(read, confusions=0) == replace(written, confusions=0)
    with pytest.raises(MissingFileError, match="scores by frame"):
        FrameScores.read(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", other=np.zeros(1))
    with pytest.raises(InvalidValueError, match=r"holds \['other'\].*--frames"):
        FrameScores.read(tmp_path / "c.npz")
    replace(written, frames=("08/000000",)).write(tmp_path / "d.npz")
    with pytest.raises(InvalidValueError, match=r"confusions \(2, 1, 2, 2\)"):
        FrameScores.read(tmp_path / "d.npz")
