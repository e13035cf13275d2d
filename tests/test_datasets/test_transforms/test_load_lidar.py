from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from htcl.datasets.transforms import LoadLidarPoints
from htcl.datasets.transforms.load_lidar import depth_map, project_to_network_image

# A camera at the lidar that looks along x: u = 10 * (-y / x) + 20, v = 10 * (-z / x) + 8.
LIDAR_FROM_CAMERA = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
INTRINSICS = np.array([[10, 0, 20, 0], [0, 10, 8, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def sample(tmp_path: Path, points: list[tuple], labels: list[int], convention: str) -> dict:
    array = np.array([(*point, 0.5) for point in points], dtype=np.float32)
    array.tofile(tmp_path / "scan.bin")
    np.array(labels, dtype=np.uint32).tofile(tmp_path / "scan.label")
    return {
        "velodyne_path": str(tmp_path / "scan.bin"),
        "point_label_path": str(tmp_path / "scan.label"),
        "left": np.zeros((32, 80, 3), dtype=np.uint8),
        "pixel_transform": np.diag([2.0, 2.0, 1.0]).astype(np.float32),
        "pixel_convention": convention,
        "intrinsics_left": INTRINSICS.astype(np.float32),
        "lidar_from_camera": LIDAR_FROM_CAMERA.astype(np.float32),
    }


def test_projection_by_hand(tmp_path: Path):
    results = sample(tmp_path, [(0, 0, 0)], [0], "centre")
    points = np.array([(10.0, 5.0, -2.0), (-4.0, 0.0, 0.0)])
    pixels, depth = project_to_network_image(points, results)
    np.testing.assert_allclose(pixels[0], (2 * 15, 2 * 10))
    np.testing.assert_allclose(depth, (10, -4))


@pytest.mark.parametrize(
    ("convention", "pixel", "u"),
    # (10, 4.85, -2) projects to x = 2 * 15.15 = 30.3, (10, 4.7, -2) to 30.6.
    [
        ("corner", (30, 30), 2 * 30.6 / 80 - 1),
        ("centre", (30, 31), (2 * 30.6 + 1) / 80 - 1),
    ],
)
def test_pixel_conventions(tmp_path: Path, convention: str, pixel: tuple, u: float):
    points = [(10, 4.85, -2), (10, 4.7, -2)]
    results = LoadLidarPoints().transform(sample(tmp_path, points, [40, 10], convention))
    rows, columns = np.nonzero(results["depth_map"])
    assert set(columns) == set(pixel) and set(rows) == {20}
    np.testing.assert_allclose(results["point_uvd"][1, 0], u, rtol=1e-5)
    np.testing.assert_allclose(results["point_uvd"][:, 2], 10)
    assert results["point_labels"].tolist() == [9, 1]


def test_points_behind_and_outside(tmp_path: Path):
    # Behind the camera, outside the grid, in the grid but outside the image, and inside both.
    points = [(-3, 0, 0), (60, 0, 0), (5, 20, 0), (20, 0, 0)]
    results = sample(tmp_path, points, [10, 10, 52, (3 << 16) | 81], "centre")
    kept = LoadLidarPoints().transform(dict(results))
    np.testing.assert_allclose(kept["points"], [(5, 20, 0), (20, 0, 0)])
    assert kept["point_labels"].tolist() == [0, 19]
    assert kept["point_labels"].dtype == np.int64
    assert abs(kept["point_uvd"][0, 0]) > 1 and (abs(kept["point_uvd"][1, :2]) < 1).all()
    everything = LoadLidarPoints(point_range="all").transform(dict(results))
    assert len(everything["points"]) == 4
    np.testing.assert_array_equal(everything["point_uvd"][0], (0, 0, 0))
    # The depth map does not depend on the grid: the two points ahead fall into one pixel.
    assert kept["depth_map"][16, 40] == 20 and np.count_nonzero(kept["depth_map"]) == 1


def test_nearest_depth_wins():
    pixels = np.array([(1, 0), (1, 0), (2, 1), (3, 0), (0, -1)])
    image = depth_map(pixels, np.array([7.0, 5.0, 9.0, 3.0, 3.0]), (2, 3))
    np.testing.assert_array_equal(image, [[0, 5, 0], [0, 0, 9]])


def test_empty_scan(tmp_path: Path):
    results = sample(tmp_path, [(0, 0, 0)], [0], "centre")
    (tmp_path / "scan.bin").write_bytes(b"")
    (tmp_path / "scan.label").write_bytes(b"")
    results = LoadLidarPoints().transform(results)
    assert results["points"].shape == (0, 3) and results["point_uvd"].shape == (0, 3)
    assert not results["depth_map"].any()


def test_unknown_label_and_setting(tmp_path: Path):
    with pytest.raises(ValueError, match=r"scan\.label.*unknown raw label"):
        LoadLidarPoints().transform(sample(tmp_path, [(5, 0, 0)], [12], "centre"))
    with pytest.raises(ValueError, match="point_range"):
        LoadLidarPoints(point_range="image")
    only_depth = LoadLidarPoints(points=False)
    results = only_depth.transform(sample(tmp_path, [(5, 0, 0)], [12], "centre"))
    assert "points" not in results
    assert len(only_depth.required_files(results)) == 1
