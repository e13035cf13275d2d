from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from htcl.losses.probabilities import probability_cross_entropy


@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_probabilities(reduction):
    """-log of 0.5 and 0.25, and their gradients as PyTorch's."""
    target, found = torch.ones(2), []
    for function in (probability_cross_entropy, F.binary_cross_entropy):
        prob = torch.tensor([0.5, 0.25], requires_grad=True)
        loss = function(prob, target, reduction=reduction)
        loss.sum().backward()
        found.append((loss, prob.grad))
    assert found[0][0].sum().item() == pytest.approx(3 * 0.6931472)
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_nan_is_not_refused():
    prob, target = torch.tensor([0.5, float("nan")]), torch.ones(2)
    assert probability_cross_entropy(prob, target).isnan().tolist() == [False, True]
    assert probability_cross_entropy(prob, target, reduction="sum").isnan()
