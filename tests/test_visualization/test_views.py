from __future__ import annotations

import numpy as np
import pytest
from street_scene import GRID, IMAGE, INTRINSICS, LIDAR_FROM_CAMERA

from htcl.geometry import VoxelGrid
from htcl.visualization.views import camera_view, chase_view, top_aspect, top_view


def project(point):
    """Pixel and depth of a point of the voxel frame, by the definition."""
    homogeneous = INTRINSICS @ np.linalg.inv(LIDAR_FROM_CAMERA) @ np.append(point, 1.0)
    return homogeneous[:2] / homogeneous[2], homogeneous[2]


@pytest.mark.parametrize("pixel", [(0, 0), (20, 31), (47, 159)])
def test_camera_rays_project_to_their_pixel(pixel):
    view = camera_view(INTRINSICS, LIDAR_FROM_CAMERA, IMAGE, IMAGE)
    ray = view.rays[pixel].astype(np.float64)
    for distance in (1.0, 17.0):
        (u, v), _ = project(ray[:3] + distance * ray[3:])
        np.testing.assert_allclose((v, u), pixel, atol=2e-4)


def test_larger_picture_keeps_the_borders():
    fine = camera_view(INTRINSICS, LIDAR_FROM_CAMERA, IMAGE, (2 * IMAGE[0], 2 * IMAGE[1]))
    ray = fine.rays[0, 0].astype(np.float64)
    (u, v), _ = project(ray[:3] + 5 * ray[3:])
    # The first of two fine pixels in a coarse one: a quarter of a pixel from its centre.
    np.testing.assert_allclose((u, v), (-0.25, -0.25), atol=1e-4)


def test_pixel_size_grows_with_depth():
    view = camera_view(INTRINSICS, LIDAR_FROM_CAMERA, IMAGE, IMAGE)
    a, b = view.rays[10, 10], view.rays[10, 11]
    step = np.linalg.norm((a[:3] + 7 * a[3:]) - (b[:3] + 7 * b[3:]))
    np.testing.assert_allclose(view.width + view.spread * 7, step, rtol=1e-4)


def test_chase_view_looks_forward_and_down_from_behind():
    view = chase_view(GRID, (30, 40))
    eye = view.rays[0, 0, :3]
    assert eye[0] < 0 and eye[2] > 0
    middle = view.rays[15, 20, 3:]
    assert middle[0] > 0 and middle[2] < 0
    # Left of the picture is left of the car.
    assert view.rays[15, 0, 4] > 0 > view.rays[15, 39, 4]


def test_top_view_has_forward_up_and_left_left():
    view = top_view(GRID, (40, 40))
    assert (view.rays[..., 3:] == [0, 0, -1]).all()
    assert view.rays[0, 0, 0] > view.rays[39, 0, 0]
    assert view.rays[0, 0, 1] > view.rays[0, 39, 1]
    np.testing.assert_allclose(view.rays[0, 0, 0] + view.width / 2, 12.8, rtol=1e-5)


def test_front_may_be_the_grids_y():
    """The same street in both frames: a ray of the one is a turned ray of the other."""
    lidar = VoxelGrid.from_range((-6.4, -3.2, -2.0, 3.2, 12.8, 0.4), 0.4, front="y")
    car = lidar.along_car()
    assert car.shape == (40, 24, 6)
    np.testing.assert_allclose(car.range, (-3.2, -3.2, -2.0, 12.8, 6.4, 0.4))
    for view in (top_view, chase_view):
        rays, turned = view(car, (30, 20)).rays, view(lidar, (30, 20)).rays
        for first in (0, 3):
            np.testing.assert_allclose(turned[..., first], -rays[..., first + 1], atol=1e-5)
            np.testing.assert_allclose(turned[..., first + 1], rays[..., first], atol=1e-5)
    assert top_aspect(lidar) == top_aspect(car)
