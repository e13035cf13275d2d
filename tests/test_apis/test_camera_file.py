from __future__ import annotations

import numpy as np
import pytest

from htcl.apis import read_calibration
from htcl.apis.camera_file import lidar_from_camera
from htcl.errors import InvalidValueError, MissingFileError

YAML = """
image_size: [376, 1241]
fx: 720.0
fy: 710.0
cx: 600.0
cy: 180.0
baseline: 0.5
camera: {height: 1.65, pitch: 0.0}
"""


def write(tmp_path, text, name="camera.yml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_yaml_in_kitti_terms(tmp_path):
    calibration = read_calibration(write(tmp_path, YAML))
    assert calibration.stereo and calibration.image_size == (376, 1241)
    kitti = calibration.for_image((376, 1241))
    np.testing.assert_array_equal(kitti.p2[0], [720, 0, 600, 0])
    np.testing.assert_array_equal(kitti.p3[0], [720, 0, 600, -360])
    assert kitti.focal_baseline == pytest.approx(0.5 * 720)
    # 10 m ahead of the camera, 2 m to its right, 1 m below: x front, y left, z up of a frame 0.27 m
    # behind and 1.73 - 1.65 m above the camera.
    point = kitti.lidar_from_camera @ [2.0, 1.0, 10.0, 1.0]
    np.testing.assert_allclose(point[:3], [10.27, -2.0, -1.08], atol=1e-12)


def test_a_camera_that_looks_down_sees_the_ground_where_it_is():
    height, pitch = 1.5, 10.0
    matrix = lidar_from_camera(height, pitch)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)
    # The optical axis meets the ground at height / tan(pitch).
    distance = height / np.sin(np.radians(pitch))
    ground = matrix @ [0, 0, distance, 1]
    np.testing.assert_allclose(
        ground[:3], [0.27 + height / np.tan(np.radians(pitch)), 0, -1.73], atol=1e-12
    )


def test_roll_lowers_the_right_side_and_position_moves():
    matrix = lidar_from_camera(1.73, 0, roll=90, forward=1.0, left=0.5)
    np.testing.assert_allclose(matrix[:3, 0], [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(matrix[:3, 3], [1.0, 0.5, 0.0], atol=1e-12)


def test_kitti_own_pose_is_nearly_that_of_the_small_format(real_kitti):
    path = real_kitti / "dataset/sequences/00/calib.txt"
    real = read_calibration(path).kitti.lidar_from_camera
    made = lidar_from_camera(height=1.65, pitch=0.0)
    np.testing.assert_allclose(made[:3, 3], real[:3, 3], atol=0.06)
    np.testing.assert_allclose(made[:3, :3], real[:3, :3], atol=0.02)


def test_intrinsics_follow_a_resize(tmp_path):
    calibration = read_calibration(write(tmp_path, YAML.replace("[376, 1241]", "[400, 1200]")))
    half = calibration.for_image((200, 600))
    # Half the size: pixel centre 600 is 600.5 from the border, then 300.25, so centre 299.75.
    assert half.p2[0, 0] == 360 and half.p2[0, 2] == 299.75 and half.p2[1, 2] == 89.75
    assert half.focal_baseline == pytest.approx(180)
    with pytest.raises(InvalidValueError, match=r"400 x 1200.*200 x 1200.*cropped"):
        calibration.for_image((200, 1200))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("fx: 720.0\n", ""), "lacks fx"),
        (("{height: 1.65, pitch: 0.0}", "{height: 1.65}"), "lacks camera.pitch"),
        (("baseline", "base_line"), "unknown key base_line; did you mean baseline?"),
        (("fy: 710.0", "fy: wide"), "fy must be a number"),
        (("fx: 720.0", "fx: -1"), "fx must be positive"),
        (("baseline: 0.5", "baseline: 0"), "baseline must be positive"),
        (("[376, 1241]", "376"), "image_size must be"),
        (("{height: 1.65, pitch: 0.0}", "none"), "camera must hold the keys"),
        (("[376", "[[376"), "not a YAML file"),
    ],
)
def test_errors_name_file_and_key(tmp_path, change, message):
    path = write(tmp_path, YAML.replace(*change))
    with pytest.raises(InvalidValueError, match=message) as caught:
        read_calibration(path)
    assert str(path) in str(caught.value)


def test_missing_files(tmp_path):
    for name in ("none.yml", "none.txt"):
        with pytest.raises(MissingFileError, match=f"{name}: calibration file not found"):
            read_calibration(tmp_path / name)


def test_kitti_file_without_tr(shared_dir):
    with pytest.raises(InvalidValueError, match="lacks Tr"):
        read_calibration(shared_dir / "data/bad_calib/calib_without_Tr.txt")
