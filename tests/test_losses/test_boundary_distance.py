"""Distances to the end of a label, against a walk from voxel to voxel."""

from __future__ import annotations

import itertools

import pytest
import torch

from htcl.errors import InvalidValueError
from htcl.losses import BoundaryDistance
from htcl.losses.boundary_distance import boundary_distances

UNKNOWN = 255
DIRECTIONS = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]


def walk(labels, voxel, direction):
    """Steps until the label changes: the distance, and whether a known voxel is there."""
    place, steps = list(voxel), 0
    while True:
        place = [p + d for p, d in zip(place, direction, strict=True)]
        if any(not 0 <= p < n for p, n in zip(place, labels.shape, strict=True)):
            return steps + 0.5, False
        if labels[tuple(place)] != labels[tuple(voxel)]:
            return steps + 0.5, bool(labels[tuple(place)] != UNKNOWN)
        steps += 1


def test_equals_a_walk():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (2, 4, 5, 3), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.1] = UNKNOWN
    distance, known = boundary_distances(labels, UNKNOWN)
    assert distance.shape == known.shape == (2, 6, 4, 5, 3)
    for sample, number in itertools.product(range(2), range(6)):
        for voxel in itertools.product(range(4), range(5), range(3)):
            expected = walk(labels[sample], voxel, DIRECTIONS[number])
            found = distance[sample, number][voxel].item(), known[sample, number][voxel].item()
            assert found == expected


def car():
    """A car of 4 x 2 x 2 voxels in the middle of an empty grid of 12 x 6 x 6."""
    labels = torch.zeros(1, 12, 6, 6, dtype=torch.long)
    labels[0, 4:8, 2:4, 2:4] = 1
    return labels


def test_a_car_knows_its_sides():
    distance, known = boundary_distances(car(), UNKNOWN)
    assert distance[0, :, 4, 2, 3].tolist() == [3.5, 0.5, 1.5, 0.5, 0.5, 1.5]
    assert known[0, :, 4, 2, 3].all()


def loss(labels, predicted=0.5, **options):
    settings = {"empty_class": 0, "ignore_index": UNKNOWN, "weight": 1.0, **options}
    return BoundaryDistance(**settings)(torch.full((1, 6, *labels.shape[1:]), predicted), labels)


def test_mean_error_of_occupied_voxels():
    """Along the length of 4 the errors of 0.5 are 0, 1, 2, 3; along the widths of 2, 0 and 1."""
    assert loss(car()).item() == pytest.approx((1.5 + 0.5 + 0.5) / 3)
    assert loss(torch.zeros(1, 4, 4, 4, dtype=torch.long)) == 0


def test_reach_bounds_both():
    """Distances of 2.5 and 3.5 count as 2: errors of 0, 1, 1.5 and 1.5 along the length."""
    labels = car()
    assert loss(labels, reach=2.0).item() == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert loss(labels, 9.0, reach=0.5).item() == 0


def test_runs_into_the_unknown_are_not_scored():
    labels = torch.ones(1, 4, 1, 1, dtype=torch.long)
    labels[0, 2:] = UNKNOWN
    # Nothing known ends anywhere: forward the unknown, else the border of the grid.
    assert loss(labels) == 0
    labels[0, 2] = 0
    # Forward, the two ones end at a known voxel: errors 1 and 0.
    assert loss(labels).item() == pytest.approx(0.5)
    # Within a reach of half a voxel everything is known.
    assert loss(labels, 0.0, reach=0.5).item() == pytest.approx(0.5)


def test_every_other_voxel():
    labels, stride, start = car(), 2, (1, 0, 1)
    taken = (..., slice(1, None, 2), slice(0, None, 2), slice(1, None, 2))
    distance, _ = boundary_distances(labels, UNKNOWN)
    module = BoundaryDistance(0, UNKNOWN)
    assert module(distance[taken], labels, start, stride) == 0
    assert module(distance[taken] + 1, labels, start, stride) == 1


def test_gradient_is_finite_without_anything_to_score():
    predicted = torch.full((1, 6, 2, 2, 2), 3.0, requires_grad=True)
    BoundaryDistance(0, UNKNOWN)(predicted, torch.full((1, 2, 2, 2), UNKNOWN)).backward()
    assert torch.equal(predicted.grad, torch.zeros_like(predicted))


def test_an_impossible_reach():
    with pytest.raises(InvalidValueError, match=r"BoundaryDistance\(reach=0\)"):
        BoundaryDistance(0, UNKNOWN, reach=0)
