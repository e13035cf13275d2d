from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from htcl.apis import CameraCalibration
from htcl.apis.clip_builder import ClipBuilder
from htcl.apis.frame_source import Frame
from htcl.datasets.calibration import KittiCalibration
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.errors import InvalidValueError

KITTI = KittiCalibration(*(np.eye(4) for _ in range(3)))
CALIBRATION = CameraCalibration("calib.txt", KITTI)
STEREO = frozenset({"images", "right", "history"})
POSES = frozenset({"images", "history", "current_from_history"})


def frame(index, side="left", size=(4, 6)):
    name = f"{index:06d}"
    return Frame(name, f"{side} {name}", np.full((*size, 3), index, np.uint8))


def pose(index):
    matrix = np.eye(4)
    matrix[2, 3] = index
    return matrix


def make(inputs, num_history, stride=1, calibration=CALIBRATION):
    return ClipBuilder(calibration, SEMANTICKITTI, inputs, num_history, stride)


@pytest.mark.parametrize(
    ("stride", "expected"), [(1, [5, 6, 7, 8]), (2, [2, 4, 6, 8]), (3, [0, 2, 5, 8])]
)
def test_history_as_the_data_set_takes_it(stride, expected):
    builder = make(POSES, 3, stride)
    for index in range(9):
        sample = builder.push(frame(index), pose=pose(index))
    (camera,) = sample["cameras"]
    paths = [*camera["history"], camera["image"]]
    assert [int(path[-2:]) for path in paths] == expected
    for path in paths:
        assert sample["decoded"][path][0, 0, 0] == int(path[-2:])
    # What the camera saw at z = 0 at an earlier time lies behind it now.
    motion = camera["current_from_history"][:, 2, 3]
    assert motion.tolist() == [index - 8 for index in expected[:-1]]
    # No more images are kept than the history needs.
    assert len(builder._past) <= 3 * stride + 1


def test_the_first_frame_stands_in_for_those_before_it():
    sample = make(STEREO, 2).push(frame(0), frame(0, "right"))
    (camera,) = sample["cameras"]
    assert [*camera["history"], camera["image"]] == ["left 000000"] * 3
    assert camera["right"] == "right 000000" and camera["focal_baseline"] == 0
    assert set(sample["decoded"]) == {"left 000000", "right 000000"}
    assert camera["current_from_history"] is None
    assert sample["specification"] is SEMANTICKITTI and sample["inputs"] == STEREO
    assert not sample["with_labels"]


def test_one_camera_takes_no_right_image_even_if_given():
    (camera,) = make(frozenset({"images"}), 0).push(frame(0), frame(0, "right"))["cameras"]
    assert camera["right"] is None and camera["focal_baseline"] is None and not camera["history"]


def test_what_is_missing_or_does_not_fit():
    builder = make(STEREO | POSES, 1)
    with pytest.raises(InvalidValueError, match="right image is missing"):
        builder.push(frame(0), pose=pose(0))
    with pytest.raises(InvalidValueError, match="pose is missing"):
        builder.push(frame(0), frame(0, "right"))
    with pytest.raises(InvalidValueError, match=r"right 000000 is 7 x 4, left 000000 is 6 x 4"):
        builder.push(frame(0), frame(0, "right", (4, 7)), pose(0))
    builder.push(frame(0), frame(0, "right"), pose(0))
    with pytest.raises(
        InvalidValueError, match=r"different sizes: left 000000 is 6 x 4, left 000001"
    ):
        builder.push(frame(1, size=(5, 6)), frame(1, "right", (5, 6)), pose(1))
    with pytest.raises(InvalidValueError, match="RGB uint8"):
        builder.push(frame(1)._replace(image=np.zeros((4, 6))), frame(1, "right"), pose(1))
    with pytest.raises(InvalidValueError, match=r"a pose is \(4, 4\)"):
        builder.push(frame(1), frame(1, "right"), np.eye(3))
    with pytest.raises(InvalidValueError, match="history_stride"):
        make(STEREO, 1, 0)
    with pytest.raises(InvalidValueError, match="lacks baseline"):
        make(STEREO, 1, calibration=CameraCalibration("c.yml", KITTI, stereo=False))


def test_a_refused_frame_is_no_history():
    """Neither one of the wrong kind nor one that the calibration refuses."""
    builder = make(POSES, 2, calibration=replace(CALIBRATION, image_size=(4, 6)))
    for size in ((4, 7), (5, 6)):
        with pytest.raises(InvalidValueError):
            builder.push(frame(7, size=size), pose=pose(7))
    builder.push(frame(0), pose=pose(0))
    with pytest.raises(InvalidValueError, match="different sizes"):
        builder.push(frame(7, size=(4, 7)), pose=pose(7))
    (camera,) = builder.push(frame(1), pose=pose(1))["cameras"]
    assert camera["history"] == ["left 000000"] * 2
    assert camera["current_from_history"][:, 2, 3].tolist() == [-1, -1]
