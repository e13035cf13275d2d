from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from htcl.apis import CameraCalibration
from htcl.apis.camera_file import read_calibration
from htcl.apis.clip_builder import ClipBuilder
from htcl.apis.frame_source import Frame
from htcl.datasets.calibration import KittiCalibration
from htcl.datasets.history_spacing import HistorySpacing
from htcl.datasets.semantic_kitti import SemanticKITTISSC
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.errors import InvalidValueError

# The middle of images of 6 x 4 pixels.
MIDDLE = np.array([[1, 0, 2.5, 0], [0, 1, 1.5, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
KITTI = KittiCalibration(MIDDLE, MIDDLE, np.eye(4))
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


def make(inputs, num_history, calibration=CALIBRATION, **spacing):
    spacing = HistorySpacing(num_history, **spacing)
    return ClipBuilder(calibration, SEMANTICKITTI, inputs, spacing)


@pytest.mark.parametrize(
    ("spacing", "reach", "expected"),
    [
        ({"history_stride": 1}, 3, [5, 6, 7, 8]),
        ({"history_stride": 2}, 6, [2, 4, 6, 8]),
        ({"history_stride": 3}, 9, [0, 2, 5, 8]),
        ({"history_stride": (1, 2, 7)}, 7, [1, 6, 7, 8]),
        # The camera drives 1 m a frame.
        ({"history_metres": 1.5, "history_max_frames": 8}, 8, [3, 5, 6, 8]),
        ({"history_metres": 1.5, "history_max_frames": 4}, 4, [4, 5, 6, 8]),
    ],
)
def test_history_by_hand(spacing, reach, expected):
    builder = make(POSES, 3, **spacing)
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
    assert len(builder._past) == min(reach + 1, 9)


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
    assert camera["history_right"] == []


def test_right_images_of_the_past_are_kept_for_those_who_look_at_them():
    for inputs in (STEREO, STEREO | {"history_right"}):
        builder = make(inputs, 2, history_stride=2)
        for index in range(4):
            sample = builder.push(frame(index), frame(index, "right"))
        (camera,) = sample["cameras"]
        assert camera["history"] == ["left 000000", "left 000001"]
        assert camera["right"] == "right 000003"
        past = ["right 000000", "right 000001"] if "history_right" in inputs else []
        assert camera["history_right"] == past
        assert set(sample["decoded"]) == {
            *camera["history"],
            camera["image"],
            camera["right"],
            *past,
        }
        assert {moment.right is None for moment in builder._past} == {not past}
        for path, image in sample["decoded"].items():
            assert image[0, 0, 0] == int(path[-1])


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
    with pytest.raises(InvalidValueError, match=r"expected a \(4, 4\)"):
        builder.push(frame(1), frame(1, "right"), np.eye(3))
    with pytest.raises(InvalidValueError, match="pose is missing"):
        make(frozenset({"images", "history"}), 1, history_metres=2.0).push(frame(0))
    with pytest.raises(InvalidValueError, match="right image is missing"):
        make(frozenset({"history", "history_right"}), 1).push(frame(0))
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


@pytest.mark.parametrize(
    "spacing",
    [
        {"history_stride": 2},
        {"history_stride": [1, 4, 6]},
        {"history_metres": 1.5},
        {"history_metres": 2.5, "history_max_frames": 5},
    ],
)
def test_clips_are_those_of_the_data_set(spacing, writable_kitti_tree):
    """A drive that stands for four frames: the same frames and motions, from disk and pushed."""
    path = writable_kitti_tree / "sequences/00/poses.txt"
    places = np.cumsum([0, 1, 1, 0.5, 1, 0, 0, 0, 0, 1, 0.5, 1])
    lines = [f"1 0 0 0 0 1 0 0 0 0 1 {place}\n" for place in places]
    path.write_text("".join(lines))
    inputs = STEREO | POSES | {"history_right"}
    dataset = SemanticKITTISSC(
        str(writable_kitti_tree),
        sequences="00",
        frames="images",
        labels=False,
        inputs=inputs,
        num_history=3,
        **spacing,
    )
    builder = make(inputs, 3, **spacing)
    assert len(dataset) == 12
    for index in range(12):
        pose = np.eye(4)
        pose[2, 3] = places[index]
        (ours,) = builder.push(frame(index), frame(index, "right"), pose)["cameras"]
        (theirs,) = dataset.get_data_info(index)["cameras"]
        for key in ("history", "history_right"):
            assert [int(p[-6:]) for p in ours[key]] == [int(Path(p).stem) for p in theirs[key]]
        np.testing.assert_allclose(ours["current_from_history"], theirs["current_from_history"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.full((4, 4), np.nan), "must be finite"),
        (np.zeros((4, 4)), "not a rotation"),
        (5 * np.eye(4), "not a rotation"),
        (pose(1000), "jumps by 1000 m"),
    ],
)
def test_poses_of_no_camera_are_refused_and_named(wrong, message):
    builder = make(POSES, 1, history_stride=1)
    builder.push(frame(0), pose=pose(0))
    with pytest.raises(InvalidValueError, match=f"left 000001.*{message}"):
        builder.push(frame(1), pose=wrong)
    # The refused frame is no history.
    assert builder.push(frame(1), pose=pose(1))["frame"] == "000001"


def test_images_of_another_size_than_the_calibration(kitti_tree: Path):
    """The synthetic camera has its middle at x = 60.7; images of half the width end at 62."""
    calibration = read_calibration(kitti_tree / "sequences/00/calib.txt")
    builder = make(frozenset({"images"}), 0, calibration)
    builder.push(frame(0, size=(38, 124)))
    with pytest.raises(InvalidValueError, match=r"calib\.txt: P2.*60.7 of images of 62 x 19"):
        make(frozenset({"images"}), 0, calibration).push(frame(0, size=(19, 62)))
