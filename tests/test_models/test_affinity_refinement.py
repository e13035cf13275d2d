"""Refinement of the warped history."""

from __future__ import annotations

import pytest
import torch

from htcl.models.layers import DeformableConv3d
from htcl.models.temporal import AffinityRefinement


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("deformable", [True, False])
@pytest.mark.parametrize(("channels", "hidden", "levels"), [(3, 8, 3), (2, 4, 1), (1, 2, 4)])
def test_shape_and_gradients(channels, hidden, levels, deformable):
    refinement = AffinityRefinement(channels, hidden, levels, deformable)
    x = torch.randn(2, channels, 5, 4, 6, requires_grad=True)
    out = refinement(x)
    assert out.shape == x.shape
    out.square().sum().backward()
    assert all(p.grad is not None for p in refinement.parameters())
    assert any(isinstance(m, DeformableConv3d) for m in refinement.modules()) is deformable


def test_untrained_deformable_refinement_equals_the_plain_one():
    deformable, plain = AffinityRefinement(3), AffinityRefinement(3, deformable=False)
    state = {k: v for k, v in deformable.state_dict().items() if "conv_offset" not in k}
    plain.load_state_dict(state)
    x = torch.randn(1, 3, 4, 5, 6)
    torch.testing.assert_close(deformable(x), plain(x), rtol=1e-4, atol=1e-5)


def test_offsets_learn():
    refinement = AffinityRefinement(3)
    x = torch.randn(1, 3, 4, 5, 6)
    refinement(x).square().sum().backward()
    assert all(level.conv_offset.bias.grad.abs().sum() > 0 for level in refinement.levels)
