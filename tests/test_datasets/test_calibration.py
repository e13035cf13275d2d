from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from htcl.datasets.calibration import KittiCalibration, lidar_poses, read_poses
from htcl.errors import InvalidValueError, MissingFileError

IDENTITY_LINE = "1 0 0 0 0 1 0 0 0 0 1 0"


def test_values_of_the_synthetic_calibration(kitti_tree: Path):
    calibration = KittiCalibration.from_file(kitti_tree / "sequences/00/calib.txt")
    assert calibration.focal_baseline == pytest.approx(71.9 * 0.54)
    # 10.27 m in front of the lidar, 1 m to the left: depth 10, x = 60.7 + (4.5 - 71.9) / 10.
    pixel = calibration.p2 @ calibration.camera_from_lidar @ (10.27, 1.0, -0.08, 1.0)
    np.testing.assert_allclose(pixel[:3] / pixel[2], (53.96, 18.5, 1.0), atol=1e-9)
    product = calibration.lidar_from_camera @ calibration.camera_from_lidar
    np.testing.assert_allclose(product, np.eye(4), atol=1e-12)
    np.testing.assert_array_equal(calibration.p2[3], (0, 0, 0, 1))


def test_focal_baseline_of_the_real_sequences(real_kitti: Path):
    for sequence, expected in (("00", 382.670), ("08", 380.348)):
        path = real_kitti / "dataset/sequences" / sequence / "calib.txt"
        calibration = KittiCalibration.from_file(path)
        assert calibration.focal_baseline == pytest.approx(expected, abs=5e-4)


def test_all_real_calibrations_are_read(real_kitti: Path):
    paths = sorted(real_kitti.glob("dataset/sequences/*/calib.txt"))
    assert len(paths) == 11
    for path in paths:
        KittiCalibration.from_file(path)


def test_missing_key_names_file_and_key(shared_dir: Path):
    path = shared_dir / "data/bad_calib/calib_without_Tr.txt"
    with pytest.raises(InvalidValueError, match=r"calib_without_Tr\.txt: calibration lacks Tr"):
        KittiCalibration.from_file(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("P2: 7", "P9: 7", "lacks P2"),
        ("P3: ", "P3: 1.0 ", "P3: 13 values, expected 12"),
        ("P1: 7.19", "P1: x.19", "P1: not a number"),
        ("P0: 7.19", "P0: -7.19", "P0: focal lengths must be positive"),
        ("P0: 7.190000000000e+01", "P0: nan", "must be finite"),
        ("P2: 7.190000000000e+01", "P2: 1e300", "P2: values must be finite"),
        ("Tr: 0.0", "Tr: 2.0", "not a rotation"),
    ],
)
def test_bad_calibration_lines(kitti_tree: Path, tmp_path: Path, old: str, new: str, message: str):
    text = (kitti_tree / "sequences/00/calib.txt").read_text()
    assert old in text
    path = tmp_path / "calib.txt"
    path.write_text(text.replace(old, new))
    with pytest.raises(InvalidValueError, match=message) as error:
        KittiCalibration.from_file(path)
    assert str(path) in str(error.value)


def test_absent_files_are_named(tmp_path: Path):
    with pytest.raises(MissingFileError, match=r"calib\.txt"):
        KittiCalibration.from_file(tmp_path / "calib.txt")
    with pytest.raises(MissingFileError, match=r"poses\.txt"):
        read_poses(tmp_path / "poses.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no pose"),
        (f"{IDENTITY_LINE}\n1 2 3\n", "line 2: 3 values"),
        (
            f"{IDENTITY_LINE}\n{IDENTITY_LINE.replace('1 0 0 0 0', '1 0 0 1e39 0')}",
            "line 2: values",
        ),
        (IDENTITY_LINE.replace("1 0 0 0 0 1", "0 1 0 0 0 1"), "line 1: the 3x3 part"),
    ],
)
def test_bad_poses(tmp_path: Path, text: str, message: str):
    path = tmp_path / "poses.txt"
    path.write_text(text)
    with pytest.raises(InvalidValueError, match=message):
        read_poses(path)


def test_files_of_any_editor(kitti_tree: Path, tmp_path: Path):
    """A byte order mark and CRLF change nothing."""
    for name, read in (("calib.txt", KittiCalibration.from_file), ("poses.txt", read_poses)):
        path = kitti_tree / "sequences/00" / name
        copy = tmp_path / name
        copy.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
        expected, found = read(path), read(copy)
        if name == "calib.txt":
            expected, found = expected.p2, found.p2
        np.testing.assert_array_equal(found, expected)
    (tmp_path / "calib.txt").write_bytes(b"P0: \xff\xfe")
    with pytest.raises(InvalidValueError, match=r"calib\.txt: calibration file is no text"):
        KittiCalibration.from_file(tmp_path / "calib.txt")


def test_lidar_poses_move_points_like_camera_poses(kitti_tree: Path):
    calibration = KittiCalibration.from_file(kitti_tree / "sequences/00/calib.txt")
    poses = read_poses(kitti_tree / "sequences/00/poses.txt")
    point = np.array([12.0, -3.0, 0.5, 1.0])
    through_camera = (
        calibration.lidar_from_camera @ poses[7] @ calibration.camera_from_lidar @ point
    )
    np.testing.assert_allclose(lidar_poses(poses, calibration)[7] @ point, through_camera)
