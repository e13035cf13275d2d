"""Rig files, and samples of several cameras."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import yaml

from htcl.apis.frame_source import Frame
from htcl.apis.rig_builder import RigBuilder
from htcl.apis.rig_file import read_rig
from htcl.datasets.history_spacing import HistorySpacing
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.errors import InvalidValueError, MissingFileError

# Camera axes right, down, front in a frame of x front, y left, z up.
FRONT = [[0.0, 0.0, 1.0, 1.5], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.3]]
BACK = [[0.0, 0.0, -1.0, -0.5], [1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.3]]
PINHOLE = {"image_size": [20, 40], "fx": 30.0, "fy": 30.0, "cx": 19.5, "cy": 9.5}
RIG = {
    "cameras": {
        "front": {"images": "front/", **PINHOLE, "reference_from_camera": FRONT},
        "back": {"images": "back/", **PINHOLE, "reference_from_camera": BACK},
    }
}
TWICE = (2 * np.eye(4)).tolist()
INPUTS = frozenset({"history", "current_from_history"})


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "rig.yml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write


def test_rig_file(write, tmp_path):
    front, back = read_rig(write(RIG))
    assert (front.name, back.name) == ("front", "back")
    assert back.images == tmp_path / "back"
    assert np.allclose(back.calibration.kitti.lidar_from_camera[:3], BACK)
    # Half as large images have half the focal length.
    assert front.calibration.for_image((10, 20)).p2[0, 0] == 15


@pytest.mark.parametrize(
    ("change", "said"),
    (
        (lambda rig: rig.update(cameras={}), "a block for each camera"),
        (lambda rig: rig["cameras"]["back"].pop("fx"), r"lacks cameras\.back\.fx"),
        (lambda rig: rig["cameras"]["back"].update(yaw=3), r"unknown key cameras\.back\.yaw"),
        (lambda rig: rig["cameras"]["back"].update(fy=-1), r"back\.fy must be positive"),
        (lambda rig: rig["cameras"]["back"].update(image_size=[20]), r"back\.image_size must be"),
        (
            lambda rig: rig["cameras"]["front"].update(reference_from_camera=[[1, 0], [0, 1]]),
            r"front\.reference_from_camera must be three rows",
        ),
        (
            lambda rig: rig["cameras"]["front"].update(reference_from_camera=TWICE),
            r"front\.reference_from_camera",
        ),
    ),
)
def test_bad_rig_files(write, change, said):
    rig = copy.deepcopy(RIG)
    change(rig)
    with pytest.raises(InvalidValueError, match=said):
        read_rig(write(rig))


def test_missing_rig_file(tmp_path):
    with pytest.raises(MissingFileError, match=r"rig\.yml"):
        read_rig(tmp_path / "rig.yml")


def _frames(number):
    image = np.full((20, 40, 3), number, dtype=np.uint8)
    return [Frame(f"{number:06d}", f"{side}/{number:06d}.png", image) for side in ("front", "back")]


def test_each_camera_has_its_own_motion(write):
    """The car goes 2 m ahead: what the front camera saw comes nearer, the rest goes."""
    spacing = HistorySpacing(1)
    builder = RigBuilder(read_rig(write(RIG)), SEMANTICKITTI, INPUTS, spacing, "mine")
    moved = np.eye(4)
    moved[0, 3] = 2.0
    builder.push(_frames(0), np.eye(4))
    sample = builder.push(_frames(1), moved)
    assert [camera["name"] for camera in sample["cameras"]] == ["front", "back"]
    assert (sample["sequence"], sample["frame"]) == ("mine", "000001")
    expected = {"front": -2.0, "back": 2.0}
    for camera in sample["cameras"]:
        motion = camera["current_from_history"][0]
        assert np.allclose(motion[:3, 3], [0, 0, expected[camera["name"]]])
        assert camera["history"] == [f"{camera['name']}/000000.png"]
    assert len(sample["decoded"]) == 4


def test_all_cameras_have_the_history_of_the_first(write):
    """Turning on the spot: the front camera moves more than the limit, the axle does not."""
    spacing = HistorySpacing(1, history_metres=1.0, history_max_frames=5)
    builder = RigBuilder(read_rig(write(RIG)), SEMANTICKITTI, INPUTS, spacing, "mine")
    for number in range(6):
        turn = np.eye(4)
        angle = 0.4 * number
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        sample = builder.push(_frames(number), turn)
    front, back = (camera["history"][0].split("/")[1] for camera in sample["cameras"])
    assert front == back != "000005.png"
