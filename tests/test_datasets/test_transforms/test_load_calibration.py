from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from htcl.datasets.calibration import KittiCalibration, read_poses
from htcl.datasets.transforms import LoadCalibrationAndPoses


@pytest.fixture
def sample(kitti_tree: Path) -> dict:
    folder = kitti_tree / "sequences/00"
    return {
        "sequence": "00",
        "calib_path": str(folder / "calib.txt"),
        "poses_path": str(folder / "poses.txt"),
        "frame_index": 5,
        "frame_indices": [2, 3, 4, 5],
    }


def test_values_in_place_of_files(sample):
    given = {
        **sample,
        "calibration": KittiCalibration.from_file(sample["calib_path"]),
        "poses": read_poses(sample["poses_path"]),
        "calib_path": "camera.yml",
        "poses_path": None,
    }
    step = LoadCalibrationAndPoses()
    expected, found = step.transform(sample), step.transform(given)
    for key in ("intrinsics_right", "lidar_from_camera", "focal_baseline", "current_from_frame"):
        np.testing.assert_array_equal(found[key], expected[key])


def test_errors(sample):
    with pytest.raises(FileNotFoundError, match=r"sequence 00: no poses\.txt"):
        LoadCalibrationAndPoses().transform({**sample, "poses_path": None})
    with pytest.raises(ValueError, match=r"12 poses, but frame 12 needs line 13"):
        LoadCalibrationAndPoses().transform({**sample, "frame_indices": [12], "frame_index": 12})
