"""Losses and their gradients against the released ones."""

from __future__ import annotations

import pytest

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.losses import (
    GeometricScal,
    PointCrossEntropy,
    PointLovasz,
    SemanticScal,
    VoxelCrossEntropy,
    VoxelLovasz,
    VoxelPrediction,
    inverse_log_frequency,
)


@pytest.fixture
def fixture(load_fixture):
    return load_fixture("losses")


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("voxel_ce", lambda weights: VoxelCrossEntropy(20, class_weights=weights)),
        ("voxel_sem_scal", lambda weights: SemanticScal()),
        ("voxel_geo_scal", lambda weights: GeometricScal()),
        ("voxel_lovasz_ignore255", lambda weights: VoxelLovasz()),
    ],
)
def test_voxel_losses(fixture, assert_parity, name, build):
    logits = fixture.in_logits.requires_grad_()
    loss = build(fixture.in_class_weights.tolist())
    value = loss(VoxelPrediction(logits, fixture.in_target, 255))
    value.backward()
    assert_parity(value, getattr(fixture, f"out_{name}"), 1e-6)
    gradient = logits.grad[:, ::4, ::2, ::2, ::2]
    assert_parity(gradient, getattr(fixture, f"out_grad_{name}"), 1e-6)


@pytest.mark.parametrize(
    ("name", "loss"), [("point_ce", PointCrossEntropy()), ("point_lovasz", PointLovasz())]
)
def test_point_losses(fixture, assert_parity, name, loss):
    logits = fixture.in_point_logits.requires_grad_()
    value = loss(logits, fixture.in_point_target)
    value.backward()
    assert_parity(value, getattr(fixture, f"out_{name}"), 1e-6)
    assert_parity(logits.grad, getattr(fixture, f"out_grad_{name}"), 1e-6)


def test_class_weights(fixture, assert_parity):
    weights = inverse_log_frequency(SEMANTICKITTI.class_counts)
    assert_parity(weights, fixture.in_class_weights, 1e-7)
