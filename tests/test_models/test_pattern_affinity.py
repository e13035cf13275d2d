"""Pattern affinity: the cosine, the scales and the ablation switches."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from htcl.models.temporal import PatternAffinity


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_cosine_of_centred_patterns_in_numbers():
    """Patterns (1,2,3) and (6,4,2): centred (-1,0,1) and (2,0,-2), cosine -1."""
    affinity = PatternAffinity(4, 2)
    affinity.current_patterns = lambda _: torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    affinity.warped_patterns = lambda _: torch.tensor(
        [[6.0, 4.0, 2.0], [10.0, 11.0, 12.0], [0.0, 1.0, 0.0], [5.0, 5.0, 5.0]]
    ).T.reshape(1, 3, 4, 1, 1)
    out = affinity(None, torch.zeros(1))
    # (0,1,0) centred is (-1,2,-1)/3, at right angles to (-1,0,1); a flat pattern has no direction.
    torch.testing.assert_close(out.flatten(), torch.tensor([-1.0, 1.0, 0.0, 0.0]))


def test_shapes_and_range():
    affinity = PatternAffinity(8, 3)
    out = affinity(torch.randn(2, 8, 6, 7), torch.randn(2, 3, 5, 6, 7))
    assert out.shape == (2, 1, 5, 6, 7)
    assert out.abs().max() <= 1 + 1e-5


@pytest.mark.parametrize("dilations", [(1, 2, 4), (1, 1, 1), (2, 3)])
def test_each_scale_is_a_dilated_convolution(dilations):
    affinity = PatternAffinity(4, 2, dilations=dilations)
    current, warped = torch.randn(1, 4, 9, 9), torch.randn(1, 2, 9, 9, 9)
    patterns = affinity.current_patterns(current)
    warped_patterns = affinity.warped_patterns(warped)
    for index, dilation in enumerate(dilations):
        conv = affinity.current_context[index]
        layer = torch.nn.Conv2d(4, 1, 3, padding=dilation, dilation=dilation)
        layer.load_state_dict(conv.state_dict())
        torch.testing.assert_close(patterns[:, index : index + 1], layer(current))
        layer = torch.nn.Conv3d(2, 1, 3, padding=dilation, dilation=dilation)
        layer.load_state_dict(affinity.warped_context[index]["conv"].state_dict())
        context = F.gelu(layer(warped))
        normed = (context - context.mean()) / (context.var(unbiased=False) + 1e-5).sqrt()
        torch.testing.assert_close(
            warped_patterns[:, index : index + 1], normed, rtol=1e-4, atol=1e-5
        )


def test_shared_learner_has_one_set_of_weights():
    shared = PatternAffinity(4, 2, independent_learners=False)
    independent = PatternAffinity(4, 2)
    count = [sum(p.numel() for p in m.parameters()) for m in (shared, independent)]
    assert 3 * count[0] == count[1]
    out = shared(torch.randn(1, 4, 6, 6), torch.randn(1, 2, 5, 6, 6))
    out.sum().backward()
    assert all(p.grad is not None for p in shared.parameters())


def test_a_single_context_is_refused():
    with pytest.raises(ValueError, match="single context"):
        PatternAffinity(4, 2, dilations=(1, 1, 1), independent_learners=False)
    with pytest.raises(ValueError, match="single context"):
        PatternAffinity(4, 2, dilations=(2,))
