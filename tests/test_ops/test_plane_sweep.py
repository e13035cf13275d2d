"""Plane sweep and its intrinsics: geometry with numbers."""

from __future__ import annotations

import pytest
import torch
from sweep_cameras import kitti_matrix, make_cameras, motion

from htcl.ops.plane_sweep import released_intrinsics, sweep_grid, sweep_projection, warp

MAP_SIZE = (32, 48)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def map_intrinsics():
    """Original 1241 x 376 pixels -> 192 x 128: half a pixel's care, uneven scale, crop."""
    transform = torch.tensor([[[0.15, 0, -0.4], [0, 0.35, -2.0], [0, 0, 1]]])
    return make_cameras(kitti_matrix()[None], transform, (128, 192)).map_intrinsics(MAP_SIZE)


def test_map_intrinsics_centre_cells_on_their_block_of_pixels():
    """Cell 0 of stride 4 covers the pixels 0..3, whose centre is 1.5."""
    camera = make_cameras(torch.eye(4)[None], torch.eye(3)[None], (16, 32))
    out = camera.map_intrinsics((4, 8))[0]
    for pixel, cell in ((1.5, 0.0), (5.5, 1.0), (-0.5, -0.5)):
        point = torch.tensor([pixel, pixel, 1, 1], dtype=torch.float64)
        torch.testing.assert_close((out @ point)[:2], torch.full((2,), cell).double())


def test_released_intrinsics_multiply_rows_by_the_size_of_the_map():
    out = released_intrinsics(kitti_matrix()[None], (96, 320))[0]
    assert out[0, 0] == pytest.approx(718.856 * 320, rel=1e-6)
    assert out[1, 1] == pytest.approx(718.856 * 96, rel=1e-6)
    assert out[0, 3] == pytest.approx(45.382 * 320, rel=1e-6)
    torch.testing.assert_close(out[2:], kitti_matrix()[2:].double())


def test_identity_pose_moves_samples_in_the_released_way():
    """The fourth column acts on the way there only: u' = u + K03 / d for a matrix with K23 = 0."""
    intrinsics = kitti_matrix()[None]
    intrinsics[0, 2, 3] = 0
    intrinsics = released_intrinsics(intrinsics, MAP_SIZE)
    identity = torch.eye(4).expand(1, 1, 4, 4)
    projection = sweep_projection(intrinsics, identity, unproject_offset=False)
    depth = 1000.0
    grid = sweep_grid(projection, torch.tensor([depth]), MAP_SIZE, behind="released")
    column = (grid[0, 0, 0, 0, 0, 0] + 1) / 2 * (MAP_SIZE[1] - 1)
    assert column == pytest.approx(45.382 * MAP_SIZE[1] / depth, abs=2e-3)


def test_projection_agrees_with_the_path_over_the_lidar_frame():
    """Camera t -> lidar t -> lidar t-1 -> camera t-1 against one matrix, in cells."""
    camera_from_lidar = motion([1.2, -1.2, 1.2], [0.0, -0.08, -0.27]).double()
    past_lidar_from_lidar = motion([0.004, -0.003, 0.02], [1.3, 0.02, 0.01]).double()
    points = torch.randn(50, 3, dtype=torch.float64) * 3 + torch.tensor([0, 0, 20.0])
    points = torch.cat([points, torch.ones(50, 1)], dim=1).T
    intrinsics = map_intrinsics()[0]

    lidar = torch.linalg.inv(camera_from_lidar) @ points
    past_camera = camera_from_lidar @ past_lidar_from_lidar @ lidar
    expected = intrinsics @ past_camera
    expected = expected[:2] / expected[2]

    source_from_current = (
        camera_from_lidar @ past_lidar_from_lidar @ torch.linalg.inv(camera_from_lidar)
    )
    projection = sweep_projection(intrinsics[None], source_from_current[None, None])
    ours = projection[0, 0].double() @ (intrinsics @ points)
    torch.testing.assert_close(ours[:2] / ours[2], expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(ours[2], past_camera[2] + intrinsics[2, 3], rtol=0, atol=1e-4)


def test_points_behind_the_source_camera():
    """A source camera 5 m ahead of a plane at 2 m: behind it, yet projected onto its map."""
    projection = sweep_projection(map_intrinsics(), motion([0, 0, 0], [0, 0, -5])[None, None])
    depths = torch.tensor([2.0])
    kept = sweep_grid(projection, depths, MAP_SIZE, behind="released")
    discarded = sweep_grid(projection, depths, MAP_SIZE)
    assert (kept.abs() <= 1).all(dim=-1).any()
    assert (discarded == 3).all()
    assert (warp(torch.ones(1, 1, *MAP_SIZE), discarded[0]) == 0).all()


def test_far_out_of_view_gives_zero_and_never_nan():
    projection = torch.eye(4).expand(1, 1, 4, 4) * 1e12
    grid = sweep_grid(projection, torch.tensor([0.0, 1.0]), MAP_SIZE, behind="released")
    out = warp(torch.ones(1, 1, *MAP_SIZE), grid[0])
    assert out.isfinite().all()
