"""Calibrations, poses and scans that no real rig has, and the real ones that must pass."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from htcl.datasets.calibration import KittiCalibration, check_count, read_poses, read_times
from htcl.datasets.plausibility import (
    check_image_size,
    check_mounting,
    check_points,
    check_projection,
    check_rigid,
    check_track,
)
from htcl.errors import InvalidValueError


@pytest.fixture
def text(kitti_tree: Path) -> str:
    return (kitti_tree / "sequences/00/calib.txt").read_text()


def changed(text: str, **lines: np.ndarray) -> str:
    """The text with other matrices (3, 4)."""
    new = {
        key: f"{key}: " + " ".join(f"{x:.9g}" for x in value.ravel())
        for key, value in lines.items()
    }
    return "\n".join(new.get(line.partition(":")[0], line) for line in text.splitlines())


def matrix(text: str, key: str) -> np.ndarray:
    (line,) = (x for x in text.splitlines() if x.startswith(f"{key}:"))
    return np.array(line.split()[1:], dtype=float).reshape(3, 4)


def swapped(text: str) -> str:
    return changed(text, P2=matrix(text, "P3"), P3=matrix(text, "P2"))


def no_baseline(text: str) -> str:
    return changed(text, P3=matrix(text, "P2"))


def tiny_baseline(text: str) -> str:
    right = matrix(text, "P2")
    right[0, 3] -= 0.001 * right[0, 0]
    return changed(text, P3=right)


def inverted_tr(text: str) -> str:
    whole = np.vstack([matrix(text, "Tr"), (0, 0, 0, 1)])
    return changed(text, Tr=np.linalg.inv(whole)[:3])


def tr_in_millimetres(text: str) -> str:
    tr = matrix(text, "Tr")
    tr[:, 3] *= 1000
    return changed(text, Tr=tr)


def baseline_in_millimetres(text: str) -> str:
    left, right = matrix(text, "P2"), matrix(text, "P3")
    left[:, 3] *= 1000
    right[:, 3] *= 1000
    return changed(text, P2=left, P3=right)


def singular(text: str) -> str:
    left = matrix(text, "P2")
    left[2] = 0
    return changed(text, P2=left)


def zero_focal(text: str) -> str:
    left = matrix(text, "P2")
    left[1, 1] = 0
    return changed(text, P2=left)


def other_intrinsics(text: str) -> str:
    right = matrix(text, "P3")
    right[0, 2] += 5
    return changed(text, P3=right)


def huge(text: str) -> str:
    tr = matrix(text, "Tr")
    tr[0, 3] = 1e30
    return changed(text, Tr=tr)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (swapped, r"P2 and P3: the right camera stands 0\.54 m to the left"),
        (no_baseline, "P2 and P3: the baseline is 0 m, expected 0.01 to 10 m"),
        (tiny_baseline, r"P2 and P3: the baseline is 0\.001 m"),
        (inverted_tr, "Tr: the camera would be tilted by 90 degrees.*inverted"),
        (tr_in_millimetres, "Tr: the camera would stand 281.6.* m from the lidar.*millimetres"),
        (baseline_in_millimetres, r"P2: the camera would stand 62\.58.* m from the first.*millim"),
        (singular, "P2: expected fx 0 cx tx"),
        (zero_focal, "P2: focal lengths must be positive pixels"),
        (other_intrinsics, "P2 and P3: the intrinsics of the two differ by 5 pixels"),
        (huge, r"Tr: values must be finite and of metres or pixels.*found 1e\+30"),
        (lambda text: text.replace(".", ","), r"P0: not a number.*a decimal point is expected"),
        (lambda text: text + text, "two lines P0"),
        (lambda text: text.replace("P2: 7.19", "P2: infinity 7.19"), "13 values"),
        (lambda text: text.replace("P2: 7.190000000000e+01", "P2: inf"), "P2: values must be fin"),
        (lambda text: "", "calibration lacks P0, P1, P2, P3, Tr; found no key"),
    ],
)
def test_implausible_calibrations(text: str, tmp_path: Path, damage, message: str):
    path = tmp_path / "calib.txt"
    path.write_text(damage(text))
    with pytest.raises(InvalidValueError, match=message) as error:
        KittiCalibration.from_file(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


LINES = [f"1 0 0 0 0 1 0 0 0 0 1 {z}" for z in range(6)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        # A jump of 1,000 km, and back.
        ([*LINES[:3], "1 0 0 0 0 1 0 0 0 0 1 1e6", *LINES[4:]], "line 3 to line 4.*999998 m.*2 su"),
        ([*LINES[:2], "", *LINES[2:]], "line 4 comes after an empty line"),
        ([*LINES[:2], "1 0 0 0 0 1 0 0 0 0 1 1e30"], "line 3: values must be finite"),
        ([*LINES[:2], "1 0 0 0 0 1 0 0 0 0 1 nan"], "line 3: values must be finite"),
        ([LINES[0] + " " + LINES[1]], "line 1: 24 values, expected 12"),
        ([LINES[0].replace(" ", ",")], "line 1: 1 values"),
        (["5 0 0 0 0 5 0 0 0 0 5 0"], "line 1: the 3x3 part is not a rotation"),
        (["0 0 0 0 0 0 0 0 0 0 0 0"], "line 1: the 3x3 part is not a rotation"),
    ],
)
def test_implausible_poses(tmp_path: Path, lines: list[str], message: str):
    path = tmp_path / "poses.txt"
    path.write_text("\n".join(lines))
    with pytest.raises(InvalidValueError, match=message) as error:
        read_poses(path)
    assert str(path) in str(error.value)


def test_a_missing_line_of_poses_is_noticed_by_the_times(tmp_path: Path):
    poses, times = tmp_path / "poses.txt", tmp_path / "times.txt"
    times.write_text("\n".join(f"{0.1 * n:.3e}" for n in range(6)))
    poses.write_text("\n".join(LINES))
    check_count(read_poses(poses), poses, times)
    poses.write_text("\n".join([*LINES[:2], *LINES[3:]]))
    with pytest.raises(InvalidValueError, match=r"poses\.txt: 5 poses, but .*times\.txt has 6"):
        check_count(read_poses(poses), poses, times)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no time in the file"),
        ("0\n0.1\n0.1", "time of line 3, 0.1 s, does not come after"),
        ("0\n0,1", "not a number.*decimal point"),
        ("0\nnan", "must be finite"),
    ],
)
def test_bad_times(tmp_path: Path, text: str, message: str):
    (tmp_path / "times.txt").write_text(text)
    with pytest.raises(InvalidValueError, match=message):
        read_times(tmp_path / "times.txt")


def test_points_of_a_lidar():
    good = np.array([[5.0, 1, -1], [80, 0, 0]])
    check_points(good, "a.bin")
    for wrong, message in (
        (good[:0], "holds no point"),
        (good * 0, "2 points that are all 0 0 0"),
        (good * 1e30, r"coordinate of 8e\+31 m, expected 1000 m"),
        (good * np.nan, "not finite"),
    ):
        with pytest.raises(InvalidValueError, match=f"a.bin: lidar scan.*{message}"):
            check_points(wrong, "a.bin")


def test_images_of_another_size():
    """KITTI's calibration, and its images at half size: 0.49 of the width becomes 0.98."""
    kitti = np.array([[718.9, 0, 607.2, 45], [0, 718.9, 185.2, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    check_image_size(kitti, (376, 1241), "P2")
    for size in ((188, 620), (752, 2482), (376, 800)):
        with pytest.raises(
            InvalidValueError, match=f"x = 607.2 of images of {size[1]} x {size[0]}"
        ):
            check_image_size(kitti, size, "P2")


def test_rigid_motions_only():
    check_rigid(np.eye(4), "pose")
    for wrong, message in (
        (np.eye(3), r"shape \(3, 3\)"),
        (np.diag([1.0, 1, -1, 1]), "not a rotation"),
        (np.eye(4) * np.nan, "must be finite"),
        (np.vstack([np.eye(4)[:3], np.ones(4)]), "the last row is"),
    ):
        with pytest.raises(InvalidValueError, match=f"pose: .*{message}"):
            check_rigid(wrong, "pose")


def test_real_kitti_is_plausible(real_kitti: Path):
    for folder in sorted(real_kitti.glob("dataset/sequences/*")):
        KittiCalibration.from_file(folder / "calib.txt")
        if (folder / "poses.txt").is_file():
            check_count(read_poses(folder / "poses.txt"), "poses", folder / "times.txt")


def test_kitti_360_is_plausible():
    """Numbers of its perspective.txt (CC BY-NC-SA 3.0)."""
    left = np.array([[552.55, 0, 682.05, 0], [0, 552.55, 238.77, 0], [0, 0, 1, 0]])
    right = left.copy()
    right[0, 3] = -328.32
    for projection in (left, right):
        check_projection(projection, "P_rect")
    check_image_size(left, (376, 1408), "P_rect")


def test_nuscenes_is_plausible(shared_dir: Path):
    """All six cameras of the real tables, in the frame of the lidar."""
    tables = shared_dir / "data/nuscenes_tables/v1.0-mini"
    sensors = json.loads((tables / "calibrated_sensor.json").read_text())

    def pose(entry: dict) -> np.ndarray:
        w, x, y, z = entry["rotation"]
        result = np.eye(4)
        result[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        result[:3, 3] = entry["translation"]
        return result

    (lidar,) = (entry for entry in sensors if not entry["camera_intrinsic"])
    cameras = [entry for entry in sensors if entry["camera_intrinsic"]]
    assert len(cameras) == 6
    for camera in cameras:
        matrix = np.eye(4)
        matrix[:3, :3] = camera["camera_intrinsic"]
        check_projection(matrix, "camera")
        check_image_size(matrix, (900, 1600), "camera")
        check_mounting(np.linalg.inv(pose(lidar)) @ pose(camera), "camera")
    poses = json.loads((tables / "ego_pose.json").read_text())
    check_track([pose(entry) for entry in poses][:1], "ego_pose")
    # The fastest car of 50 m/s between key frames of 2 Hz.
    track = np.stack([np.eye(4)] * 3)
    track[:, 0, 3] = 1000 + 25.0 * np.arange(3)
    check_track(track, "ego_pose")
