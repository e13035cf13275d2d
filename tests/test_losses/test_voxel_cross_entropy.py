from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from htcl.losses import VoxelCrossEntropy, VoxelPrediction, inverse_log_frequency


@pytest.mark.parametrize("weighted", [True, False])
def test_equals_torch(weighted):
    torch.manual_seed(0)
    target = torch.randint(0, 6, (2, 4, 3, 2))
    target[0, 0] = 255
    weights = torch.rand(6) + 0.1 if weighted else None
    mine = VoxelCrossEntropy(6, class_weights=None if weights is None else weights.tolist())
    values = []
    for loss in (
        lambda x: mine(VoxelPrediction(x, target)),
        lambda x: F.cross_entropy(x, target, weights, ignore_index=255),
    ):
        x = torch.randn(2, 6, 4, 3, 2, generator=torch.manual_seed(1)).requires_grad_()
        value = loss(x)
        values.append((value, torch.autograd.grad(value, x)[0]))
    torch.testing.assert_close(values[0][0], values[1][0])
    torch.testing.assert_close(values[0][1], values[1][1])


def test_nothing_scored_is_zero_on_the_graph():
    logits = torch.randn(1, 3, 2, 2, 1, requires_grad=True)
    prediction = VoxelPrediction(logits, torch.full((1, 2, 2, 1), 255))
    loss = VoxelCrossEntropy(3, class_weights=None)(prediction)
    assert loss == 0
    loss.backward()
    assert (logits.grad == 0).all()


def test_inverse_log_frequency():
    weights = inverse_log_frequency([math.e - 0.001, math.e**4 - 0.001])
    torch.testing.assert_close(weights, torch.tensor([1.0, 0.25]))
    with pytest.raises(ValueError, match="must exceed 1"):
        inverse_log_frequency([100, 0])


def test_class_weights_follow_from_the_counts():
    loss = VoxelCrossEntropy(2, class_counts=(5.41773033e9, 1e7))
    assert loss.class_weights[0].item() == pytest.approx(1 / math.log(5.41773033e9 + 0.001))
    assert not loss.state_dict()
    assert VoxelCrossEntropy(2, class_weights=None).class_weights.tolist() == [1, 1]


def test_errors():
    with pytest.raises(ValueError, match="3 class_weights for 20 classes"):
        VoxelCrossEntropy(20, class_weights=[1, 2, 3])
    with pytest.raises(ValueError, match="'balanced'"):
        VoxelCrossEntropy(2, (10, 10), class_weights="balanced")
    with pytest.raises(ValueError, match="class_counts=None"):
        VoxelCrossEntropy(2)
