"""Volumes of learned features: the mean and the correlation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reference_operators import mean_of_warped
from sweep_cameras import kitti_matrix, make_cameras, motion

from htcl.models.checkpointing import checkpoint_modules
from htcl.models.volumes import CorrelationVolume, MeanVolume
from htcl.ops import sweep_grid, sweep_projection

IMAGE_SIZE = (128, 192)
MAP_SIZE = (32, 48)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def map_intrinsics(matrix=None):
    """Original 1241 x 376 pixels -> 192 x 128: half a pixel's care, uneven scale, crop."""
    matrix = kitti_matrix() if matrix is None else matrix
    transform = torch.tensor([[[0.15, 0, -0.4], [0, 0.35, -2.0], [0, 0, 1]]])
    return make_cameras(matrix[None], transform, IMAGE_SIZE).map_intrinsics(MAP_SIZE)


def identity_projection(frames=1):
    return sweep_projection(map_intrinsics(), torch.eye(4).expand(1, frames, 4, 4))


def test_identity_pose_samples_every_plane_identically():
    features = torch.randn(1, 1, 5, *MAP_SIZE)
    depths = torch.linspace(2, 50, 7)
    out = MeanVolume()(features[:, 0], features, identity_projection(), depths)
    expected = features.mean(dim=2)[:, :, None].expand(1, 1, 7, *MAP_SIZE)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("num_frames", [1, 3])
def test_mean_before_sampling_equals_mean_after(num_frames):
    current, history = torch.randn(2, 6, *MAP_SIZE), torch.randn(2, num_frames, 6, *MAP_SIZE)
    poses = torch.stack(
        [motion([0.01, 0.02 * i, 0], [0.1 * i, 0, 0.5 * i]) for i in range(2 * num_frames)]
    ).view(2, num_frames, 4, 4)
    projection = sweep_projection(map_intrinsics().expand(2, 4, 4), poses)
    depths = torch.linspace(1, 30, 5)
    grid = sweep_grid(projection, depths, MAP_SIZE, behind="released")
    torch.testing.assert_close(
        MeanVolume()(current, history, projection, depths, behind="released"),
        mean_of_warped(history, grid),
        rtol=1e-4,
        atol=1e-5,
    )


def flat_matrix():
    """A camera matrix with K23 = 0, so that the depth of the projection is that of the point."""
    matrix = kitti_matrix()
    matrix[2, 3] = 0
    return matrix


def textured_plane(source_from_current, depth, channels=12):
    """Features of a plane at a depth of the current camera, as a camera sees them."""
    rng = np.random.default_rng(3)
    focal_length = 27.0  # cells; waves of about one radian a cell, whatever the depth
    waves = rng.normal(size=(channels, 2)) * focal_length / depth
    phases = rng.uniform(0, 2 * np.pi, size=channels)
    intrinsics = map_intrinsics(flat_matrix())[0].numpy()
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
    projection = sweep_projection(map_intrinsics(flat_matrix()), pose[None, None])
    volume = CorrelationVolume()
    similarity = volume(current[None], history[None, None], projection, depths)[0, 0]
    grid = sweep_grid(projection, depths, MAP_SIZE)[0, 0]
    visible = (grid.abs() <= 1).all(dim=-1).all(dim=0)
    assert visible.float().mean() > 0.3
    found = similarity.argmax(dim=0)[visible]
    # Bilinear samples blur the texture, which may move single cells to the neighbouring bin.
    assert (found == bin_index).float().mean() > 0.8
    assert ((found - bin_index).abs() <= 1).float().mean() > 0.99


def test_correlation_is_the_cosine_of_centred_features():
    current, history = torch.randn(1, 6, *MAP_SIZE), torch.randn(1, 2, 6, *MAP_SIZE)
    history[:, 1] = current
    depths = torch.tensor([5.0, 9.0])
    volume = CorrelationVolume(num_groups=2)
    out = volume(current, history, identity_projection(2), depths).view(2, 2, 2, *MAP_SIZE)
    torch.testing.assert_close(out[1], torch.ones_like(out[1]), rtol=0, atol=1e-3)
    a, b = (x - x.mean(dim=(-2, -1), keepdim=True) for x in (current[0], history[0, 0]))
    expected = torch.cosine_similarity(a[3:], b[3:], dim=0)
    torch.testing.assert_close(out[0, 1, 0], expected, rtol=0, atol=1e-3)


def test_chunks_and_recomputation_change_nothing():
    current = torch.randn(1, 4, *MAP_SIZE, requires_grad=True)
    history = torch.randn(1, 2, 4, *MAP_SIZE, requires_grad=True)
    poses = motion([0, 0.01, 0], [0.2, 0, 1])[None, None].expand(1, 2, 4, 4)
    projection = sweep_projection(map_intrinsics(), poses)
    depths = torch.linspace(2, 20, 7)
    chunked = CorrelationVolume(depth_chunk=3)
    checkpoint_modules(chunked, ["cosine"])
    results = []
    for volume in (CorrelationVolume(), chunked):
        out = volume(current, history, projection, depths)
        results.append([out, *torch.autograd.grad(out.square().sum(), (current, history))])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("volume", [MeanVolume(), CorrelationVolume()])
def test_gradients_reach_the_history(volume):
    history = torch.randn(1, 1, 4, *MAP_SIZE, requires_grad=True)
    current = torch.randn(1, 4, *MAP_SIZE)
    depths = torch.linspace(2, 20, 5)
    volume(current, history, identity_projection(), depths).square().sum().backward()
    assert history.grad.isfinite().all()
    assert (history.grad != 0).all(dim=2).float().mean() > 0.99


def test_groups_must_divide_the_features():
    volume = CorrelationVolume(num_groups=4)
    with pytest.raises(ValueError, match=r"num_groups=4.*6 matching channels do not divide"):
        volume(
            torch.ones(1, 6, 4, 4),
            torch.ones(1, 1, 6, 4, 4),
            torch.eye(4).view(1, 1, 4, 4),
            torch.ones(1),
        )
