from __future__ import annotations

import pytest
import torch

from htcl.datasets.openoccupancy_specification import OPENOCCUPANCY
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.errors import InvalidValueError
from htcl.evaluation.regions import (
    near_box,
    range_regions,
    view_regions,
    whole_grid_ranges,
)

GRID = SEMANTICKITTI.grid


def test_near_boxes_of_the_benchmarks_grid():
    """0.2 m voxels, y from -25.6: 12.8 m are 64 voxels in front and 32 to each side."""
    assert near_box(GRID, 12.8) == (slice(0, 64), slice(96, 160))
    assert near_box(GRID, 25.6) == (slice(0, 128), slice(64, 192))
    assert near_box(GRID, 51.2) == (slice(0, 256), slice(0, 256))


def test_near_box_of_a_coarse_grid_and_of_none():
    assert near_box(GRID.resized(0.8), 12.8) == (slice(0, 16), slice(24, 40))
    with pytest.raises(InvalidValueError, match=r"within 0.1 m"):
        near_box(GRID, 0.1)


def test_near_box_where_y_is_the_front():
    """0.8 m voxels from -51.2 m: 12.8 m are 16 voxels from the middle on, 8 to each side."""
    grid = OPENOCCUPANCY.grid.resized(0.8)
    assert near_box(grid, 12.8) == (slice(56, 72), slice(64, 80))


def test_ranges_stand_beside_the_full_grid():
    regions = range_regions(GRID, (12.8, 30))
    assert list(regions) == ["full", "12.8m", "30m"]
    assert torch.ones(GRID.shape)[regions["full"]].shape == GRID.shape
    assert regions["12.8m"] == near_box(GRID, 12.8)


def test_a_range_over_the_whole_grid_says_nothing_new():
    assert whole_grid_ranges(GRID, (12.8, 25.6, 51.2)) == ["51.2m"]
    assert whole_grid_ranges(GRID, (51.0,)) == []


def test_views_are_disjoint_and_complete():
    in_view = torch.tensor([[[True, True, False]]])
    visible = torch.tensor([[[True, False, False]]])
    counts = {name: mask.int().flatten().tolist() for name, mask in _views(in_view, visible)}
    assert counts == {
        "in_view": [1, 1, 0],
        "out_of_view": [0, 0, 1],
        "visible": [1, 0, 0],
        "occluded": [0, 1, 0],
    }
    assert [name for name, _ in _views(in_view)] == ["in_view", "out_of_view"]


def _views(*masks):
    return view_regions(*masks).items()
