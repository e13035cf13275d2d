"""Deformable 2D convolution with offsets that are no numbers."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import DeformConv2d

from htcl.models.layers import FiniteDeformConv2d


@pytest.fixture
def layers():
    torch.manual_seed(0)
    ours = FiniteDeformConv2d(2, 3, 3, padding=1, bias=False)
    theirs = DeformConv2d(2, 3, 3, padding=1, bias=False)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def test_numbers_and_gradients_are_those_of_torchvision(layers):
    x, offset = torch.randn(1, 2, 5, 6), torch.randn(1, 18, 5, 6)
    found = []
    for layer in layers:
        inputs = [x.clone().requires_grad_(), offset.clone().requires_grad_()]
        out = layer(*inputs)
        out.square().sum().backward()
        found.append([out, *(value.grad for value in inputs)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_an_offset_that_is_no_number_makes_its_cell_none(layers, value):
    offset = torch.zeros(1, 18, 5, 6)
    offset[0, 4, 2, 3] = value
    bad = layers[0](torch.ones(1, 2, 5, 6), offset).isnan()
    expected = torch.zeros(1, 3, 5, 6, dtype=torch.bool)
    expected[:, :, 2, 3] = True
    assert torch.equal(bad, expected)
