from __future__ import annotations

import numpy as np
import pytest

from htcl.datasets.history_spacing import HistorySpacing
from htcl.errors import InvalidValueError


def drive(*steps: float) -> list[np.ndarray]:
    """Poses of a camera that moves by these steps, metres, by turns forward and to the right."""
    poses = [np.eye(4)]
    for number, step in enumerate(steps):
        pose = poses[-1].copy()
        pose[0 if number % 2 else 2, 3] += step
        poses.append(pose)
    return poses


@pytest.mark.parametrize(
    ("stride", "earlier", "expected"),
    [
        (3, 20, [9, 6, 3]),
        (3, 7, [7, 6, 3]),
        (1, 0, [0, 0, 0]),
        ((1, 5, 10), 20, [10, 5, 1]),
        ([1, 5, 10], 6, [6, 5, 1]),
    ],
)
def test_distances_in_frames(stride, earlier, expected):
    assert HistorySpacing(3, stride).distances(earlier) == expected


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        # 2, 4 and 6 m of way, round the corners.
        ([1.0] * 8, [6, 4, 2]),
        ([3.0] * 8, [2, 2, 1]),
        # 20 steps of 0.1 m are 2 m.
        ([0.1] * 70, [60, 40, 20]),
        # A car that has stood for five frames has its last way as history.
        ([1.0] * 8 + [0.0] * 5, [11, 9, 7]),
        # It went 5 m in all, so the first frame stands in for the one 6 m back.
        ([1.0] * 5 + [0.0] * 2, [7, 6, 4]),
        ([0.0] * 4, [4, 4, 4]),
        ([], [0, 0, 0]),
    ],
)
def test_distances_in_metres(steps, expected):
    spacing = HistorySpacing(3, history_metres=2.0, history_max_frames=100)
    assert spacing.distances(len(steps), drive(*steps)) == expected


def test_limit_of_the_distance_in_metres():
    spacing = HistorySpacing(3, 5, history_metres=2.0, history_max_frames=8)
    assert spacing.reach == 8 and spacing.needs_poses
    standing = drive(*[1.0] * 8, *[0.0] * 5)
    assert spacing.distances(13, standing) == [8, 8, 7]
    assert spacing.distances(13, standing[-9:]) == [8, 8, 7]


def test_reach():
    assert HistorySpacing(3, 5).reach == 15
    assert HistorySpacing(3, (1, 5, 10)).reach == 10
    assert HistorySpacing(0, (1, 5, 10), 2.0).reach == 0
    assert not HistorySpacing(0, history_metres=2.0).needs_poses
    assert HistorySpacing(0).distances(7) == []


def test_changes():
    spacing = HistorySpacing(3, 5, history_metres=2.0)
    assert spacing.changed() == spacing
    assert spacing.changed(history_stride=[1, 2, 4]) == HistorySpacing(3, (1, 2, 4))
    assert spacing.changed(history_metres=1.0) == HistorySpacing(3, 5, 1.0)
    assert spacing.changed(history_max_frames=9) == HistorySpacing(3, 5, 2.0, 9)
    with pytest.raises(InvalidValueError, match="give one of them"):
        spacing.changed(history_stride=1, history_metres=1.0)
    with pytest.raises(InvalidValueError, match=r"history_max_frames=9 limits history_metres"):
        HistorySpacing(3, 5).changed(history_max_frames=9)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_history": -1}, "num_history must be at least 0, found -1"),
        ({"history_stride": 0}, r"history_stride=0: expected a whole number of frames"),
        ({"history_stride": 2.5}, r"history_stride=2\.5: expected a whole number"),
        ({"history_stride": "5"}, r"history_stride=\('5',\): expected a whole number"),
        ({"history_stride": None}, "history_stride=None: expected a whole number"),
        ({"history_stride": (1, 5, 5)}, r"history_stride=\(1, 5, 5\): .* that rise"),
        ({"history_stride": (1, 5)}, r"has 2 distances, but num_history is 3"),
        ({"history_metres": 0}, "history_metres=0: expected a number above 0"),
        ({"history_metres": "2"}, "history_metres='2': expected a number above 0"),
        ({"history_max_frames": 0}, "history_max_frames=0: expected a whole number from 1 on"),
    ],
)
def test_values_are_checked(values, message):
    with pytest.raises(InvalidValueError, match=message):
        HistorySpacing(**{"num_history": 3, **values})
