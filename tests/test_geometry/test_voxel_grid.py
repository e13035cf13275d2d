from __future__ import annotations

import numpy as np
import pytest
import torch

from htcl.errors import InvalidValueError
from htcl.geometry import VoxelGrid

GRID = VoxelGrid(origin=(0.0, -4.0, -1.0), voxel_size=1.0, shape=(8, 8, 2))


def test_grid_from_range():
    grid = VoxelGrid.from_range([0, -25.6, -2, 51.2, 25.6, 4.4], 0.4)
    assert grid.shape == (128, 128, 16)
    assert grid.origin == (0, -25.6, -2)
    assert grid.voxel_size == (0.4, 0.4, 0.4)
    assert grid.resized(0.2).shape == (256, 256, 32)
    assert VoxelGrid.build({"point_cloud_range": grid.range, "voxel_size": 0.4}) == grid
    with pytest.raises(InvalidValueError, match="whole number of voxels"):
        VoxelGrid.from_range([0, 0, 0, 1, 1, 1], 0.3)
    with pytest.raises(InvalidValueError, match="6 numbers"):
        VoxelGrid.from_range([0, 0, 1, 1], 0.5)


def test_grid_indices_floor_and_keep_order():
    inside, index = GRID.indices(
        np.array([(0.5, -3.5, -0.5), (-0.1, 0, 0), (7.999, 3.999, 0.999), (8, 0, 0)])
    )
    assert inside.tolist() == [True, False, True, False]
    assert index.tolist() == [[0, 0, 0], [7, 7, 1]]
    assert GRID.upper == (8.0, 4.0, 1.0)
    np.testing.assert_allclose(GRID.centres(1), np.arange(8) - 3.5)


def test_edges_may_differ():
    grid = VoxelGrid.from_range([0, -1, 0, 2, 1, 1.5], (0.5, 1.0, 0.25))
    assert grid.shape == (4, 2, 6)
    inside, index = grid.indices(np.array([(1.9, 0.5, 0.3)]))
    assert inside.all() and index.tolist() == [[3, 1, 1]]


def test_flat_index_is_c_order_and_rounding_differs_below_the_grid():
    grid = VoxelGrid.from_range([0, -1, 0, 2, 1, 1.5], 0.5)
    points = torch.tensor([[1.9, 0.6, 0.2], [0.1, -0.9, 1.4], [-0.2, -0.9, 0.2], [2.01, 0, 0]])
    assert grid.flat_index(points, "floor").tolist() == [(3 * 4 + 3) * 3, 2, -1, -1]
    assert grid.flat_index(points, "released").tolist() == [(3 * 4 + 3) * 3, 2, 0, -1]
    with pytest.raises(InvalidValueError, match="'round'"):
        grid.flat_index(points, "round")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0, 0, 0), 0, (1, 1, 1)), "positive"),
        (((0, 0, 0), 1, (1, 0, 1)), "positive"),
        (((0, 0), 1, (1, 1, 1)), "three numbers"),
    ],
)
def test_nonsense_is_refused(arguments: tuple, message: str):
    with pytest.raises(InvalidValueError, match=message):
        VoxelGrid(*arguments)
