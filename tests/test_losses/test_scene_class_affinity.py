from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from htcl.losses import GeometricScal, SemanticScal, VoxelPrediction

sem_scal_loss, geo_scal_loss = SemanticScal(), GeometricScal()


def _bce(ratio):
    return F.binary_cross_entropy(ratio, torch.ones_like(ratio))


def _plain_sem_scal(logits, target):
    """The published definition with one mask a class."""
    scored = target != 255
    probs = logits.softmax(dim=1).movedim(1, -1)[scored]
    labels = target[scored]
    total, count = 0.0, 0
    for c in range(probs.shape[1]):
        p, is_class = probs[:, c], (labels == c).float()
        if is_class.sum() == 0:
            continue
        count += 1
        total = (
            total
            + _bce((p * is_class).sum() / p.sum())
            + _bce((p * is_class).sum() / is_class.sum())
        )
        total = total + _bce(((1 - p) * (1 - is_class)).sum() / (1 - is_class).sum())
    return total / count


def _plain_geo_scal(logits, target):
    scored = target != 255
    empty = logits.softmax(dim=1)[:, 0][scored]
    occupied = (target[scored] != 0).float()
    hit = (occupied * (1 - empty)).sum()
    return (
        _bce(hit / (1 - empty).sum())
        + _bce(hit / occupied.sum())
        + _bce(((1 - occupied) * empty).sum() / (1 - occupied).sum())
    )


@pytest.mark.parametrize(
    ("mine", "plain"), [(sem_scal_loss, _plain_sem_scal), (geo_scal_loss, _plain_geo_scal)]
)
def test_equals_the_plain_definition(mine, plain):
    torch.manual_seed(0)
    target = torch.randint(0, 5, (2, 6, 5, 3))  # classes 5 and 6 absent
    target[1, :2] = 255
    logits = 3 * torch.randn(2, 7, 6, 5, 3)
    results = []
    for loss in (lambda x: mine(VoxelPrediction(x, target)), lambda x: plain(x, target)):
        x = logits.clone().requires_grad_()
        value = loss(x)
        results.append((value, torch.autograd.grad(value, x)[0]))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-4, atol=1e-7)


def test_coin_flip_by_hand():
    """Two voxels, empty and occupied, both with p = 1/2: every ratio is 1/2."""
    prediction = VoxelPrediction(torch.zeros(1, 2, 2, 1, 1), torch.tensor([0, 1]).view(1, 2, 1, 1))
    assert geo_scal_loss(prediction).item() == pytest.approx(3 * math.log(2), rel=1e-6)
    assert sem_scal_loss(prediction).item() == pytest.approx(3 * math.log(2), rel=1e-6)


def test_perfect_prediction_costs_nothing():
    target = torch.tensor([0, 1, 2, 2]).view(1, 4, 1, 1)
    logits = 40 * F.one_hot(target, 3).movedim(-1, 1).float()
    prediction = VoxelPrediction(logits, target)
    assert geo_scal_loss(prediction) == sem_scal_loss(prediction) == 0


@pytest.mark.parametrize("loss", [sem_scal_loss, geo_scal_loss])
@pytest.mark.parametrize("fill", [255, 0, 3])
@pytest.mark.parametrize("scale", [1.0, 200.0])
def test_one_sided_targets_stay_finite(loss, fill, scale):
    """No scored voxel, nothing occupied, or nothing empty; soft and saturated predictions."""
    torch.manual_seed(0)
    logits = (scale * torch.randn(1, 5, 4, 4, 2)).requires_grad_()
    value = loss(VoxelPrediction(logits, torch.full((1, 4, 4, 2), fill)))
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()
    if fill == 255:
        assert value == 0
        assert (logits.grad == 0).all()


def test_only_empty_voxels_leave_the_specificity():
    prediction = VoxelPrediction(
        torch.zeros(1, 4, 2, 1, 1), torch.zeros(1, 2, 1, 1, dtype=torch.long)
    )
    assert geo_scal_loss(prediction).item() == pytest.approx(math.log(4), rel=1e-6)
