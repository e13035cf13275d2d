"""Losses and their gradients against the released ones."""

from __future__ import annotations

import pytest

from htcl.datasets.labels import CLASS_VOXEL_COUNTS
from htcl.losses import (
    class_sums,
    geo_scal_loss,
    inverse_log_frequency,
    lovasz_softmax_loss,
    point_cross_entropy,
    sem_scal_loss,
    voxel_cross_entropy,
)


@pytest.fixture
def fixture(load_fixture):
    return load_fixture("losses")


def _lovasz_of_voxels(logits, target, weights):
    return lovasz_softmax_loss(logits.movedim(1, -1).flatten(0, -2), target.flatten(), 255)


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("voxel_ce", lambda x, t, w: voxel_cross_entropy(class_sums(x, t), w)),
        ("voxel_sem_scal", lambda x, t, w: sem_scal_loss(class_sums(x, t))),
        ("voxel_geo_scal", lambda x, t, w: geo_scal_loss(class_sums(x, t))),
        ("voxel_lovasz_ignore255", _lovasz_of_voxels),
    ],
)
def test_voxel_losses(fixture, assert_parity, name, loss):
    logits = fixture.in_logits.requires_grad_()
    value = loss(logits, fixture.in_target, fixture.in_class_weights)
    value.backward()
    assert_parity(value, getattr(fixture, f"out_{name}"), 1e-6)
    gradient = logits.grad[:, ::4, ::2, ::2, ::2]
    assert_parity(gradient, getattr(fixture, f"out_grad_{name}"), 1e-6)


@pytest.mark.parametrize(
    ("name", "loss"), [("point_ce", point_cross_entropy), ("point_lovasz", lovasz_softmax_loss)]
)
def test_point_losses(fixture, assert_parity, name, loss):
    logits = fixture.in_point_logits.requires_grad_()
    value = loss(logits, fixture.in_point_target)
    value.backward()
    assert_parity(value, getattr(fixture, f"out_{name}"), 1e-6)
    assert_parity(logits.grad, getattr(fixture, f"out_grad_{name}"), 1e-6)


def test_class_weights(fixture, assert_parity):
    assert_parity(inverse_log_frequency(CLASS_VOXEL_COUNTS), fixture.in_class_weights, 1e-7)
