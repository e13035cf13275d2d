"""The module that lifts image features into the voxel grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from htcl.models.view_transformers import LiftSplat

RANGE = [0, -6.4, -2, 12.8, 6.4, 4.4]
BINS = {"start": 2.0, "stop": 14.0, "step": 0.5}


def lift_splat(**changes) -> LiftSplat:
    config = {
        "point_cloud_range": RANGE,
        "voxel_size": 0.8,
        "input_size": (64, 96),
        "depth_bins": BINS,
    }
    return LiftSplat(**{**config, **changes})


def calibration(batch: int = 1) -> dict[str, torch.Tensor]:
    intrinsics = torch.tensor(
        [[70.0, 0, 45, 4.5], [0, 70, 30, -0.1], [0, 0, 1, 0.004], [0, 0, 0, 1]]
    )
    lidar_from_camera = torch.tensor(
        [[0.01, 0, 1, 0.27], [-1, 0.02, 0, 0.01], [0, -1, 0.01, -0.08], [0, 0, 0, 1]]
    )
    pixel_transform = torch.tensor([[1.03, 0, 0], [0, 1.03, -3], [0, 0, 1]])
    matrices = {
        "intrinsics_left": intrinsics,
        "pixel_transform": pixel_transform,
        "lidar_from_camera": lidar_from_camera,
        "augmented_from_lidar": torch.eye(4),
    }
    return {name: matrix.repeat(batch, 1, 1) for name, matrix in matrices.items()}


def project(points: np.ndarray, batch: dict[str, torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Lidar points (N, 3) -> network pixels (N, 2) and depths (N,), in numpy."""
    matrices = {name: matrix[0].double().numpy() for name, matrix in batch.items()}
    homogeneous = np.c_[points, np.ones(len(points))].T
    camera = np.linalg.solve(matrices["lidar_from_camera"], homogeneous)
    image = (matrices["intrinsics_left"] @ camera)[:3]
    pixels = matrices["pixel_transform"] @ (image / image[2])
    return pixels[:2].T, image[2]


def test_a_lidar_point_lands_in_its_own_voxel():
    """Points that project onto the middle of a cell and a bin: their voxel is the cell's."""
    lift, batch = lift_splat(), calibration()
    rng = np.random.default_rng(0)
    depth_bin, row, column = (rng.integers(0, n, 500) for n in (24, 8, 12))
    # Walk from the pixel back to space by a solver of its own: two equations of the pixel, one of
    # the depth.
    matrices = {name: matrix[0].double().numpy() for name, matrix in batch.items()}
    projection = matrices["intrinsics_left"] @ np.linalg.inv(matrices["lidar_from_camera"])
    scale, shift = 1.03, np.array([0, -3.0])
    voxels = lift.index(batch).voxel_of_cell[0]
    checked = 0
    for d, i, j in zip(depth_bin, row, column, strict=True):
        depth = 2 + 0.5 * d
        u, v = (np.array([8 * j + 3.5, 8 * i + 3.5]) - shift) / scale
        rows = np.stack(
            (projection[0] - u * projection[2], projection[1] - v * projection[2], projection[2])
        )
        point = np.linalg.solve(rows[:, :3], np.array([0, 0, depth]) - rows[:, 3])
        coordinates = (point - RANGE[:3]) / 0.8
        if np.abs(coordinates - coordinates.round()).min() < 1e-4:
            continue
        x, y, z = np.floor(coordinates).astype(int)
        inside = 0 <= x < 16 and 0 <= y < 16 and 0 <= z < 8
        assert voxels[d, i, j] == ((x * 16 + y) * 8 + z if inside else -1)
        checked += 1
    assert checked > 400


def test_any_lidar_point_is_near_its_cell():
    """The nearest cell of a projected point is off by half a bin and half a cell at most."""
    lift, batch = lift_splat(), calibration()
    points = np.random.default_rng(1).uniform([3, -2, -1.5], [12, 2, 2], (300, 3))
    pixels, depth = project(points, batch)
    visible = (pixels > 0).all(1) & (pixels < [95, 63]).all(1) & (depth < 13.7)
    points, pixels, depth = points[visible], pixels[visible], depth[visible]
    assert len(points) > 100
    column, row = np.rint((pixels - 3.5) / 8).astype(int).T
    depth_bin = np.rint((depth - 2) / 0.5).astype(int)
    lifted = lift.points(batch)[0].numpy()[depth_bin, row, column]
    # Half a cell is 4 pixels on each of two axes; 0.25 m along a ray is at most 0.25 m * 1.5.
    bound = 0.25 * 1.5 + np.sqrt(2) * 4 / 1.03 / 70 * depth
    assert (np.linalg.norm(lifted - points, axis=1) < bound).all()


def test_frustum_conventions():
    released = lift_splat(frustum_pixels="corners").frustum()
    assert released.shape == (24, 8, 12, 3)
    torch.testing.assert_close(released[-1, -1, -1], torch.tensor([95, 63, 13.5]).double())
    centred = lift_splat().frustum()
    torch.testing.assert_close(centred[0, 0, 0], torch.tensor([3.5, 3.5, 2]).double())


def test_augmentation_moves_the_points():
    lift, plain, turned = lift_splat(), calibration(), calibration()
    turned["augmented_from_lidar"][0] = torch.tensor(
        [[0.8, -0.6, 0, 1], [0.6, 0.8, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]
    )
    matrix = turned["augmented_from_lidar"][0].double()
    expected = lift.points(plain) @ matrix[:3, :3].T + matrix[:3, 3]
    torch.testing.assert_close(lift.points(turned), expected)


def test_samples_of_a_batch_do_not_mix():
    lift = lift_splat()
    batch = calibration(2)
    batch["augmented_from_lidar"][1, 0, 3] = 1.6
    depth, context = torch.rand(2, 24, 8, 12).softmax(1), torch.randn(2, 3, 8, 12)
    together = lift(depth, context, batch)
    assert together.shape == (2, 3, 16, 16, 8)
    for i in range(2):
        alone = lift(depth[[i]], context[[i]], {k: v[[i]] for k, v in batch.items()})
        torch.testing.assert_close(together[[i]], alone)


def test_splat_is_the_pool_of_the_outer_product():
    lift, batch = lift_splat(), calibration()
    depth, context = torch.rand(1, 24, 8, 12).softmax(1), torch.randn(1, 3, 8, 12)
    index = lift.index(batch)
    volume = depth[:, None] * context[:, :, None]
    torch.testing.assert_close(lift.splat(depth, context, index), lift.pool(volume, index))


def test_truncation_adds_a_layer_below_the_grid():
    batch = calibration()
    counts = {}
    for rounding in ("floor", "trunc"):
        lift = lift_splat(index_rounding=rounding)
        counts[rounding] = len(lift.index(batch).cells)
    below = lift.grid.flat_index(lift.points(batch), "trunc") >= 0
    below &= lift.grid.flat_index(lift.points(batch), "floor") < 0
    assert counts["trunc"] - counts["floor"] == below.sum() > 0


def test_best_depth_is_that_of_the_most_probable_bin():
    prob = torch.zeros(1, 24, 8, 12)
    prob[:, 0], prob[:, 2] = 0.25, 0.75
    torch.testing.assert_close(lift_splat().best_depth(prob), torch.full((1, 8, 12), 3.0))


def test_has_no_state():
    assert not lift_splat().state_dict()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_size": (60, 96)}, "not a multiple of downsample=8"),
        ({"index_rounding": "round"}, "index_rounding"),
        ({"frustum_pixels": "middle"}, "frustum_pixels"),
        ({"voxel_size": 0.7}, "whole number of voxels"),
    ],
)
def test_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        lift_splat(**changes)
