"""Depth bins, voxel grid and the position of frustum cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from htcl.models.view_transformers import VoxelGrid, feature_pixels, frustum_cells, unproject
from htcl.ops import DepthBins


@pytest.fixture
def calibration() -> dict[str, torch.Tensor]:
    """Two KITTI-like cameras with a crop, a fourth column and a turned voxel frame."""
    intrinsics = torch.eye(4).repeat(2, 1, 1)
    intrinsics[:, :3] = torch.tensor(
        [[718.9, 0, 607.2, 45.4], [0, 718.9, 185.2, -0.11], [0, 0, 1, 0.0038]]
    )
    intrinsics[1, 0, 3] = -337.3
    pixel_transform = torch.tensor([[1.03, 0, 0], [0, 1.03, -3], [0, 0, 1]]).repeat(2, 1, 1)
    lidar_from_camera = torch.tensor(
        [[0.01, 0, 1, 0.27], [-1, 0.02, 0, 0.01], [0, -1, 0.01, -0.08], [0, 0, 0, 1]]
    ).repeat(2, 1, 1)
    turn = torch.tensor([[0.8, -0.6, 0, 0.3], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    return {
        "intrinsics": intrinsics,
        "pixel_transform": pixel_transform,
        "lidar_from_camera": lidar_from_camera,
        "augmented_from_lidar": torch.stack((torch.eye(4), turn)),
    }


def test_depth_bins():
    bins = DepthBins(2.0, 58.0, 0.5)
    assert bins.num == 112
    assert bins.last == 57.5
    torch.testing.assert_close(bins.values(), torch.arange(2, 58, 0.5), rtol=0, atol=0)
    assert DepthBins.build({"start": 2.0, "stop": 50.0, "step": 1.0}).num == 48
    # (1.1 - 0.8) / 0.1 is 3.0000000000000004 in binary.
    assert DepthBins(0.8, 1.1, 0.1).num == 3


@pytest.mark.parametrize("numbers", [(0.0, 5.0, 1.0), (2.0, 2.0, 1.0), (2.0, 5.0, -1.0)])
def test_depth_bins_refuse_nonsense(numbers):
    with pytest.raises(ValueError, match="0 < start < stop"):
        DepthBins(*numbers)


def test_feature_pixels():
    corners = feature_pixels(1280, 160, "corners")
    assert (corners[0], corners[-1]) == (0, 1279)
    centres = feature_pixels(1280, 160, "centres")
    # The first cell covers pixels 0..7, the last one 1272..1279.
    assert (centres[0], centres[-1]) == (3.5, 1275.5)
    with pytest.raises(ValueError, match="'middle'"):
        feature_pixels(8, 1, "middle")


def test_grid_from_range():
    grid = VoxelGrid.from_range([0, -25.6, -2, 51.2, 25.6, 4.4], 0.4)
    assert grid.shape == (128, 128, 16)
    assert grid.lower == (0, -25.6, -2)
    with pytest.raises(ValueError, match="whole number of voxels"):
        VoxelGrid.from_range([0, 0, 0, 1, 1, 1], 0.3)
    with pytest.raises(ValueError, match="6 numbers"):
        VoxelGrid.from_range([0, 0, 1, 1], 0.5)


def test_flat_index_is_c_order_and_rounding_differs_below_the_grid():
    grid = VoxelGrid.from_range([0, -1, 0, 2, 1, 1.5], 0.5)
    points = torch.tensor([[1.9, 0.6, 0.2], [0.1, -0.9, 1.4], [-0.2, -0.9, 0.2], [2.01, 0, 0]])
    assert grid.flat_index(points, "floor").tolist() == [(3 * 4 + 3) * 3, 2, -1, -1]
    assert grid.flat_index(points, "trunc").tolist() == [(3 * 4 + 3) * 3, 2, 0, -1]
    with pytest.raises(ValueError, match="'round'"):
        grid.flat_index(points, "round")


def test_unproject_inverts_the_projection(calibration):
    """Project the lifted points by the matrices, one by one, in numpy."""
    cells = frustum_cells(
        torch.tensor([0.0, 100.5, 1279]), torch.tensor([3.5, 380]), torch.tensor([2.0, 20, 57.5])
    )
    points = unproject(cells, **calibration)
    assert points.dtype == torch.float64
    matrices = {k: v.double().numpy() for k, v in calibration.items()}
    for sample in range(len(points)):
        camera_from_augmented = np.linalg.inv(
            matrices["augmented_from_lidar"][sample] @ matrices["lidar_from_camera"][sample]
        )
        for cell, point in zip(cells.reshape(-1, 3), points[sample].reshape(-1, 3), strict=True):
            image = (
                matrices["intrinsics"][sample] @ camera_from_augmented @ np.append(point.numpy(), 1)
            )
            depth = image[2]
            pixel = matrices["pixel_transform"][sample] @ np.append(image[:2] / depth, 1)
            np.testing.assert_allclose([*pixel[:2], depth], cell.numpy(), rtol=1e-9, atol=1e-7)
