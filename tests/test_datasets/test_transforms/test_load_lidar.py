from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.transforms import LoadLidarPoints
from htcl.datasets.transforms.load_lidar import depth_map
from htcl.errors import InvalidValueError
from htcl.geometry import Camera

# A camera at the lidar that looks along x: u = 10 * (-y / x) + 20, v = 10 * (-z / x) + 8.
LIDAR_FROM_CAMERA = torch.tensor([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
INTRINSICS = torch.tensor([[10.0, 0, 20, 0], [0, 10, 8, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def rig(pixels: str, poses: list[torch.Tensor]) -> Camera:
    count = len(poses)
    return Camera(
        intrinsics=INTRINSICS.repeat(count, 1, 1),
        reference_from_camera=torch.stack(poses),
        image_transform=torch.diag(torch.tensor([2.0, 2.0, 1.0])).repeat(count, 1, 1),
        augmentation=torch.eye(4).repeat(count, 1, 1),
        size=(32, 80),
        pixels=pixels,
    )


def sample(tmp_path: Path, points: list[tuple], labels: list[int], pixels: str) -> dict:
    array = np.array([(*point, 0.5) for point in points], dtype=np.float32)
    array.tofile(tmp_path / "scan.bin")
    np.array(labels, dtype=np.uint32).tofile(tmp_path / "scan.label")
    return {
        "sequence": "00",
        "frame": "000000",
        "lidar": str(tmp_path / "scan.bin"),
        "lidar_labels": str(tmp_path / "scan.label"),
        "cameras": rig(pixels, [LIDAR_FROM_CAMERA]),
        "specification": SEMANTICKITTI,
    }


@pytest.mark.parametrize(
    ("rule", "pixel", "u"),
    # (10, 4.85, -2) projects to x = 2 * 15.15 = 30.3, (10, 4.7, -2) to 30.6.
    [
        ("released", (30, 30), 2 * 30.6 / 80 - 1),
        ("centres", (30, 31), (2 * 30.6 + 1) / 80 - 1),
    ],
)
def test_pixel_rules(tmp_path: Path, rule: str, pixel: tuple, u: float):
    points = [(10, 4.85, -2), (10, 4.7, -2)]
    results = LoadLidarPoints().transform(sample(tmp_path, points, [40, 10], rule))
    rows, columns = np.nonzero(results["depth_maps"][0])
    assert set(columns) == set(pixel) and set(rows) == {20}
    np.testing.assert_allclose(results["point_uvd"][0, 1, 0], u, rtol=1e-5)
    np.testing.assert_allclose(results["point_uvd"][0, :, 2], 10)
    assert results["point_labels"].tolist() == [9, 1]


def test_points_behind_and_outside(tmp_path: Path):
    # Behind the camera, outside the grid, in the grid but outside the image, and inside both.
    points = [(-3, 0, 0), (60, 0, 0), (5, 20, 0), (20, 0, 0)]
    results = sample(tmp_path, points, [10, 10, 52, (3 << 16) | 81], "centres")
    kept = LoadLidarPoints().transform(dict(results))
    np.testing.assert_allclose(kept["points"], [(5, 20, 0), (20, 0, 0)])
    assert kept["point_labels"].tolist() == [0, 19]
    assert kept["point_labels"].dtype == np.int64
    uvd = kept["point_uvd"][0]
    assert abs(uvd[0, 0]) > 1 and (abs(uvd[1, :2]) < 1).all()
    # The depth map does not depend on the grid: the two points ahead fall into one pixel.
    depth = kept["depth_maps"][0]
    assert depth[16, 40] == 20 and np.count_nonzero(depth) == 1


def test_a_second_camera_that_looks_back(tmp_path: Path):
    backwards = torch.diag(torch.tensor([-1.0, -1, 1, 1])) @ LIDAR_FROM_CAMERA
    points = [(10, 2, -1), (-10, -2, -1)]
    results = sample(tmp_path, points, [10, 10], "centres")
    results["cameras"] = rig("centres", [LIDAR_FROM_CAMERA, backwards])
    # Half a grid would hide one of the two.
    grid = SEMANTICKITTI.grid
    around = replace(grid, origin=(-51.2, -25.6, -2), shape=(512, 256, 32))
    results["specification"] = replace(SEMANTICKITTI, grid=around)
    loaded = LoadLidarPoints().transform(results)
    assert loaded["depth_maps"].shape == (2, 32, 80)
    np.testing.assert_array_equal(loaded["depth_maps"][0], loaded["depth_maps"][1])
    uvd = loaded["point_uvd"]
    assert uvd.shape == (2, 2, 3)
    np.testing.assert_allclose(uvd[0, 0], uvd[1, 1], atol=1e-6)
    np.testing.assert_array_equal(uvd[0, 1], (0, 0, 0))
    np.testing.assert_array_equal(uvd[1, 0], (0, 0, 0))


def test_nearest_depth_wins():
    pixels = np.array([(1, 0), (1, 0), (2, 1), (3, 0), (0, -1)])
    image = depth_map(pixels, np.array([7.0, 5.0, 9.0, 3.0, 3.0]), (2, 3))
    np.testing.assert_array_equal(image, [[0, 5, 0], [0, 0, 9]])


def test_no_point_in_view(tmp_path: Path):
    """Behind the camera: no depth to learn. In view, but outside of the grid: no point to learn."""
    behind = sample(tmp_path, [(-5, 0, 0), (-9, 1, 0)], [10, 10], "centres")
    with pytest.raises(InvalidValueError, match=r"scan\.bin: none of the 2 points falls into"):
        LoadLidarPoints().transform(dict(behind))
    alone = LoadLidarPoints().transform(behind | {"inputs": {"points"}})
    assert alone["points"].shape == (0, 3) and alone["point_uvd"].shape == (1, 0, 3)
    far = LoadLidarPoints().transform(sample(tmp_path, [(60, 0, 0)], [10], "centres"))
    assert far["points"].shape == (0, 3) and far["depth_maps"].max() == 60


def test_unknown_label(tmp_path: Path):
    with pytest.raises(InvalidValueError, match=r"scan\.label.*unknown raw label"):
        LoadLidarPoints().transform(sample(tmp_path, [(5, 0, 0)], [12], "centres"))


def test_only_what_is_wanted(tmp_path: Path):
    step = LoadLidarPoints()
    results = sample(tmp_path, [(5, 0, 0)], [12], "centres") | {"inputs": {"depth_maps"}}
    assert len(step.required_files(results)) == 1
    assert "points" not in step.transform(results)
    results = sample(tmp_path, [(5, 0, 0)], [12], "centres") | {"inputs": {"images"}}
    assert step.required_files(results) == [] and "depth_maps" not in step.transform(results)
    results |= {"inputs": {"points"}, "lidar": None}
    with pytest.raises(InvalidValueError, match="'points' is wanted"):
        step.transform(results)
