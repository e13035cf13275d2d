from __future__ import annotations

import numpy as np
import pytest

from htcl.apis import CameraCalibration
from htcl.apis.clip_builder import ClipBuilder
from htcl.apis.frame_source import Frame
from htcl.datasets.calibration import KittiCalibration

KITTI = KittiCalibration(*(np.eye(4) for _ in range(5)))
CALIBRATION = CameraCalibration("calib.txt", KITTI)


def frame(index, side="left", size=(4, 6)):
    name = f"{index:06d}"
    return Frame(name, f"{side} {name}", np.full((*size, 3), index, np.uint8))


def pose(index):
    matrix = np.eye(4)
    matrix[2, 3] = index
    return matrix


@pytest.mark.parametrize(
    ("stride", "expected"), [(1, [5, 6, 7, 8]), (2, [2, 4, 6, 8]), (3, [0, 2, 5, 8])]
)
def test_history_as_the_data_set_takes_it(stride, expected):
    builder = ClipBuilder(CALIBRATION, 3, stride, right=False, poses=True)
    for index in range(9):
        sample = builder.push(frame(index), pose=pose(index))
    assert [int(path[-2:]) for path in sample["frame_paths"]] == expected
    for path in sample["frame_paths"]:
        assert sample["images"][path][0, 0, 0] == int(path[-2:])
    motion = sample["poses"][sample["frame_indices"]][:, 2, 3]
    assert motion.tolist() == expected
    assert sample["poses"][sample["frame_index"]][2, 3] == 8
    # No more images are kept than the history needs.
    assert len(builder._past) <= 3 * stride + 1


def test_the_first_frame_stands_in_for_those_before_it():
    builder = ClipBuilder(CALIBRATION, 2, 1)
    sample = builder.push(frame(0), frame(0, "right"))
    assert sample["frame_paths"] == ["left 000000"] * 3
    assert sample["right_path"] == "right 000000"
    assert set(sample["images"]) == {"left 000000", "right 000000"}
    assert "poses" not in sample


def test_what_is_missing_or_does_not_fit():
    builder = ClipBuilder(CALIBRATION, 1, 1, right=True, poses=True)
    with pytest.raises(ValueError, match="right image is missing"):
        builder.push(frame(0), pose=pose(0))
    with pytest.raises(ValueError, match="pose is missing"):
        builder.push(frame(0), frame(0, "right"))
    with pytest.raises(ValueError, match=r"right 000000 is 7 x 4, left 000000 is 6 x 4"):
        builder.push(frame(0), frame(0, "right", (4, 7)), pose(0))
    builder.push(frame(0), frame(0, "right"), pose(0))
    with pytest.raises(ValueError, match=r"different sizes: left 000000 is 6 x 4, left 000001"):
        builder.push(frame(1, size=(5, 6)), frame(1, "right", (5, 6)), pose(1))
    with pytest.raises(ValueError, match="RGB uint8"):
        builder.push(frame(1)._replace(image=np.zeros((4, 6))), frame(1, "right"), pose(1))
    with pytest.raises(ValueError, match=r"a pose is \(4, 4\)"):
        builder.push(frame(1), frame(1, "right"), np.eye(3))
    with pytest.raises(ValueError, match="history_stride"):
        ClipBuilder(CALIBRATION, 1, 0)
    with pytest.raises(KeyError, match="lacks baseline"):
        ClipBuilder(CameraCalibration("c.yml", KITTI, stereo=False), 1)
