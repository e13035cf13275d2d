"""Plane sweep and its intrinsics: geometry with numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from htcl.models.temporal.plane_sweep import (
    PlaneSweep,
    plane_sweep_reference,
    sweep_grid,
    warp,
)
from htcl.models.temporal.sweep_geometry import (
    feature_intrinsics,
    pixel_times_feature_size,
    sweep_projection,
)

IMAGE_SIZE = (128, 192)
MAP_SIZE = (32, 48)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def camera_matrix():
    """Left colour camera of KITTI, whose fourth column moves the point from camera 0."""
    matrix = torch.eye(4)
    matrix[:3] = torch.tensor(
        [[718.856, 0, 607.193, 45.382], [0, 718.856, 185.216, -0.113], [0, 0, 1, 0.0038]]
    )
    return matrix[None]


def pixel_transform():
    """Original 1241 x 376 pixels -> 192 x 128: half a pixel's care, uneven scale, crop."""
    return torch.tensor([[[0.15, 0, -0.4], [0, 0.35, -2.0], [0, 0, 1]]])


def motion(rotvec, translation):
    out = np.eye(4)
    out[:3, :3] = Rotation.from_rotvec(rotvec).as_matrix()
    out[:3, 3] = translation
    return torch.from_numpy(out).float()


def map_intrinsics():
    return feature_intrinsics(camera_matrix(), pixel_transform(), IMAGE_SIZE, MAP_SIZE)


def identity_projection(frames=1):
    identity = torch.eye(4).expand(1, frames, 4, 4)
    return sweep_projection(map_intrinsics(), identity, unproject_offset=True)


def test_feature_intrinsics_centre_cells_on_their_block_of_pixels():
    """Cell 0 of stride 4 covers the pixels 0..3, whose centre is 1.5."""
    identity = torch.eye(3)[None]
    out = feature_intrinsics(torch.eye(4)[None], identity, (16, 32), (4, 8))[0]
    for pixel, cell in ((1.5, 0.0), (5.5, 1.0), (-0.5, -0.5)):
        point = torch.tensor([pixel, pixel, 1, 1], dtype=torch.float64)
        torch.testing.assert_close((out @ point)[:2], torch.full((2,), cell).double())


def test_released_intrinsics_multiply_rows_by_the_size_of_the_map():
    out = pixel_times_feature_size(camera_matrix(), (96, 320))[0]
    assert out[0, 0] == pytest.approx(718.856 * 320, rel=1e-6)
    assert out[1, 1] == pytest.approx(718.856 * 96, rel=1e-6)
    assert out[0, 3] == pytest.approx(45.382 * 320, rel=1e-6)
    torch.testing.assert_close(out[2:], camera_matrix()[0, 2:].double())


def test_identity_pose_samples_every_plane_identically():
    features = torch.randn(1, 1, 5, *MAP_SIZE)
    sweep = PlaneSweep(torch.linspace(2, 50, 7))
    out = sweep(features[:, 0], features, identity_projection())
    expected = features.mean(dim=2)[:, :, None].expand(1, 1, 7, *MAP_SIZE)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-4)


def test_identity_pose_moves_samples_in_the_released_way():
    """The fourth column acts on the way there only: u' = u + K03 / d for a matrix with K23 = 0."""
    intrinsics = camera_matrix()
    intrinsics[0, 2, 3] = 0
    intrinsics = pixel_times_feature_size(intrinsics, MAP_SIZE)
    identity = torch.eye(4).expand(1, 1, 4, 4)
    projection = sweep_projection(intrinsics, identity, unproject_offset=False)
    depth = 1000.0
    grid = sweep_grid(projection, torch.tensor([depth]), MAP_SIZE, discard_behind=False)
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
    projection = sweep_projection(intrinsics[None], source_from_current[None, None], True)
    ours = projection[0, 0].double() @ (intrinsics @ points)
    torch.testing.assert_close(ours[:2] / ours[2], expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(ours[2], past_camera[2] + intrinsics[2, 3], rtol=0, atol=1e-4)


@pytest.mark.parametrize("num_frames", [1, 3])
def test_mean_before_sampling_equals_mean_after(num_frames):
    current, history = torch.randn(2, 6, *MAP_SIZE), torch.randn(2, num_frames, 6, *MAP_SIZE)
    poses = torch.stack(
        [motion([0.01, 0.02 * i, 0], [0.1 * i, 0, 0.5 * i]) for i in range(2 * num_frames)]
    ).view(2, num_frames, 4, 4)
    projection = sweep_projection(map_intrinsics().expand(2, 4, 4), poses, True)
    sweep = PlaneSweep(torch.linspace(1, 30, 5))
    grid = sweep_grid(projection, sweep.depths, MAP_SIZE, discard_behind=False)
    torch.testing.assert_close(
        sweep(current, history, projection),
        plane_sweep_reference(history, grid),
        rtol=1e-4,
        atol=1e-5,
    )


def textured_plane(source_from_current, depth, channels=12):
    """Features of a plane at a depth of the current camera, as a camera sees them.

    The camera matrix has K23 = 0 here, so that the depth of the projection is that of the point.
    """
    rng = np.random.default_rng(3)
    focal_length = 27.0  # cells; waves of about one radian a cell, whatever the depth
    waves = rng.normal(size=(channels, 2)) * focal_length / depth
    phases = rng.uniform(0, 2 * np.pi, size=channels)
    intrinsics = plane_intrinsics()[0].numpy()
    rows, columns = np.meshgrid(*(np.arange(n) for n in MAP_SIZE), indexing="ij")
    cells = np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)
    to_current = np.linalg.inv(source_from_current.double().numpy())
    # A cell with depth d is K^-1 (f d, g d, d, 1): a ray from d = 0 to d = 1 and beyond.
    inverse = to_current @ np.linalg.inv(intrinsics)
    origin = inverse[:3, 3:]
    direction = inverse[:3, :3] @ cells
    points = origin + direction * (depth - origin[2]) / direction[2]
    pattern = np.sin(waves @ points[:2] + phases[:, None])
    return torch.from_numpy(pattern).float().view(channels, *MAP_SIZE)


def plane_intrinsics():
    matrix = camera_matrix()
    matrix[0, 2, 3] = 0
    return feature_intrinsics(matrix, pixel_transform(), IMAGE_SIZE, MAP_SIZE)


@pytest.mark.parametrize("bin_index", [3, 6, 10])
@pytest.mark.parametrize(
    ("rotvec", "translation"),
    [([0, 0, 0], [2.0, 0, 0]), ([0.01, -0.03, 0.005], [2.0, 0.1, 1.0])],
)
def test_a_textured_plane_is_found_at_its_depth(bin_index, rotvec, translation):
    depths = torch.arange(4.0, 16.0)
    pose = motion(rotvec, translation)
    current = textured_plane(torch.eye(4), float(depths[bin_index]))
    history = textured_plane(pose, float(depths[bin_index]))
    projection = sweep_projection(plane_intrinsics(), pose[None, None], True)
    sweep = PlaneSweep(depths, reduction="correlation", discard_behind=True)
    similarity = sweep(current[None], history[None, None], projection)[0, 0]
    grid = sweep_grid(projection, depths, MAP_SIZE, discard_behind=True)[0, 0]
    visible = (grid.abs() <= 1).all(dim=-1).all(dim=0)
    assert visible.float().mean() > 0.3
    found = similarity.argmax(dim=0)[visible]
    # Bilinear samples blur the texture, which may move single cells to the neighbouring bin.
    assert (found == bin_index).float().mean() > 0.8
    assert ((found - bin_index).abs() <= 1).float().mean() > 0.99


def test_correlation_is_the_cosine_of_centred_features():
    current, history = torch.randn(1, 6, *MAP_SIZE), torch.randn(1, 2, 6, *MAP_SIZE)
    history[:, 1] = current
    sweep = PlaneSweep(torch.tensor([5.0, 9.0]), reduction="correlation", num_groups=2)
    out = sweep(current, history, identity_projection(2)).view(2, 2, 2, *MAP_SIZE)
    torch.testing.assert_close(out[1], torch.ones_like(out[1]), rtol=0, atol=1e-3)
    a, b = (x - x.mean(dim=(-2, -1), keepdim=True) for x in (current[0], history[0, 0]))
    expected = torch.cosine_similarity(a[3:], b[3:], dim=0)
    torch.testing.assert_close(out[0, 1, 0], expected, rtol=0, atol=1e-3)


def test_chunks_and_recomputation_change_nothing():
    current = torch.randn(1, 4, *MAP_SIZE, requires_grad=True)
    history = torch.randn(1, 2, 4, *MAP_SIZE, requires_grad=True)
    projection = sweep_projection(
        map_intrinsics(), motion([0, 0.01, 0], [0.2, 0, 1])[None, None].expand(1, 2, 4, 4), True
    )
    depths = torch.linspace(2, 20, 7)
    results = []
    for options in ({}, {"depth_chunk": 3, "with_cp": True}):
        out = PlaneSweep(depths, reduction="correlation", **options)(current, history, projection)
        results.append([out, *torch.autograd.grad(out.square().sum(), (current, history))])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "correlation"])
def test_gradients_reach_the_history(reduction):
    history = torch.randn(1, 1, 4, *MAP_SIZE, requires_grad=True)
    current = torch.randn(1, 4, *MAP_SIZE)
    sweep = PlaneSweep(torch.linspace(2, 20, 5), reduction=reduction)
    sweep(current, history, identity_projection()).square().sum().backward()
    assert history.grad.isfinite().all()
    assert (history.grad != 0).all(dim=2).float().mean() > 0.99


def test_points_behind_the_history_camera():
    """A history camera 5 m ahead of a plane at 2 m: behind it, yet projected onto its map."""
    projection = sweep_projection(map_intrinsics(), motion([0, 0, 0], [0, 0, -5])[None, None], True)
    depths = torch.tensor([2.0])
    kept = sweep_grid(projection, depths, MAP_SIZE, discard_behind=False)
    discarded = sweep_grid(projection, depths, MAP_SIZE, discard_behind=True)
    assert (kept.abs() <= 1).all(dim=-1).any()
    assert (discarded == 3).all()
    assert (warp(torch.ones(1, 1, *MAP_SIZE), discarded[0]) == 0).all()


def test_far_out_of_view_gives_zero_and_never_nan():
    projection = torch.eye(4).expand(1, 1, 4, 4) * 1e12
    grid = sweep_grid(projection, torch.tensor([0.0, 1.0]), MAP_SIZE, discard_behind=False)
    out = warp(torch.ones(1, 1, *MAP_SIZE), grid[0])
    assert out.isfinite().all()


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match=r"reduction='max'.*mean.*correlation"):
        PlaneSweep(torch.ones(1), reduction="max")
    with pytest.raises(ValueError, match="groups belong to 'correlation'"):
        PlaneSweep(torch.ones(1), num_groups=2)
    sweep = PlaneSweep(torch.ones(1), reduction="correlation", num_groups=4)
    with pytest.raises(ValueError, match="6 matching channels do not divide"):
        sweep(torch.ones(1, 6, 4, 4), torch.ones(1, 1, 6, 4, 4), torch.eye(4).view(1, 1, 4, 4))
