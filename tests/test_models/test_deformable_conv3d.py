"""Deformable 3D convolution against explicit sampling."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from htcl.models.layers import DeformableConv3d


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def bilinear(plane, y, x):
    """One sample of a map (C,H,W); what lies outside counts as zero."""
    height, width = plane.shape[1:]
    total = torch.zeros(plane.shape[0])
    y0, x0 = math.floor(y), math.floor(x)
    for row, column in itertools.product((y0, y0 + 1), (x0, x0 + 1)):
        if 0 <= row < height and 0 <= column < width:
            total += (1 - abs(y - row)) * (1 - abs(x - column)) * plane[:, row, column]
    return total


def scalar_deformable_conv(x, offsets, weight, bias):
    """The layer's definition, one tap of one cell at a time."""
    _, depth, height, width = x.shape
    size = weight.shape[-1]
    out = bias.view(-1, 1, 1, 1).repeat(1, depth, height, width)
    for d, h, w in itertools.product(range(depth), range(height), range(width)):
        for tap, (kd, kh, kw) in enumerate(itertools.product(range(size), repeat=3)):
            if not 0 <= d + kd - 1 < depth:
                continue
            y = h - 1 + kh + float(offsets[2 * tap, d, h, w])
            x_ = w - 1 + kw + float(offsets[2 * tap + 1, d, h, w])
            out[:, d, h, w] += weight[:, :, kd, kh, kw] @ bilinear(x[:, d + kd - 1], y, x_)
    return out


def grid_sample_deformable_conv(x, offsets, weight, bias):
    """The same by trilinear grid sampling, which autograd can differentiate."""
    depth, height, width = x.shape[2:]
    axes = torch.meshgrid(*(torch.arange(n) for n in (depth, height, width)), indexing="ij")
    base = torch.stack(axes, dim=-1).float()
    out = bias.view(1, -1, 1, 1, 1)
    for tap, (kd, kh, kw) in enumerate(itertools.product(range(3), repeat=3)):
        moves = offsets[:, 2 * tap : 2 * tap + 2].permute(0, 2, 3, 4, 1)
        moves = torch.cat([torch.zeros_like(moves[..., :1]), moves], dim=-1)
        position = base + torch.tensor([kd - 1.0, kh - 1.0, kw - 1.0]) + moves
        last = torch.tensor([depth - 1.0, height - 1.0, width - 1.0])
        grid = (2 * position / last - 1).flip(-1)
        sampled = F.grid_sample(x, grid, padding_mode="zeros", align_corners=True)
        out = out + torch.einsum("oc,bcdhw->bodhw", weight[:, :, kd, kh, kw], sampled)
    return out


def test_untrained_layer_is_an_ordinary_convolution():
    layer = DeformableConv3d(3, 5)
    x = torch.randn(2, 3, 4, 5, 6)
    torch.testing.assert_close(layer(x), F.conv3d(x, layer.weight, layer.bias, padding=1))


def test_a_single_tap_that_moves_one_cell_right_shifts_the_map():
    layer = DeformableConv3d(1, 1)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    centre = 13
    with torch.no_grad():
        layer.weight[0, 0, 1, 1, 1] = 1.0
        layer.conv_offset.bias[2 * centre + 1] = 1.0
    x = torch.arange(20.0).view(1, 1, 1, 4, 5)
    expected = F.pad(x, (0, 1))[..., 1:]
    torch.testing.assert_close(layer(x), expected)


def test_matches_the_definition_with_random_offsets():
    layer = DeformableConv3d(2, 3)
    x, offsets = torch.randn(1, 2, 3, 4, 5), 1.5 * torch.randn(1, 54, 3, 4, 5)
    expected = scalar_deformable_conv(x[0], offsets[0], layer.weight.detach(), layer.bias.detach())
    torch.testing.assert_close(layer.sample(x, offsets)[0], expected, rtol=1e-4, atol=1e-5)


def test_gradients_match_grid_sampling():
    layer = DeformableConv3d(2, 3)
    # Away from whole numbers, where the bilinear kernel has a kink.
    x = torch.randn(2, 2, 4, 5, 3, requires_grad=True)
    offsets = torch.randint(-2, 2, (2, 54, 4, 5, 3)) + 0.2 + 0.6 * torch.rand(2, 54, 4, 5, 3)
    offsets.requires_grad_()
    inputs = (x, offsets, layer.weight, layer.bias)
    factor = torch.randn(2, 3, 4, 5, 3)
    ours = torch.autograd.grad((layer.sample(x, offsets) * factor).sum(), inputs)
    theirs = torch.autograd.grad((grid_sample_deformable_conv(*inputs) * factor).sum(), inputs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_even_kernel_is_refused():
    with pytest.raises(ValueError, match=r"kernel_size=2.*odd"):
        DeformableConv3d(1, 1, kernel_size=2)


def test_the_two_ways_of_sampling_agree():
    """The CPU's grid sampling and torchvision's operator, values and gradients."""
    layer = DeformableConv3d(4, 2)
    x = torch.randn(2, 4, 3, 5, 6, requires_grad=True)
    offsets = (1.5 * torch.randn(2, 54, 3, 5, 6)).requires_grad_()
    outputs = [layer._sample(x, offsets), layer._sample_on_cpu(x, offsets)]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-5)
    pull = torch.randn_like(outputs[0])
    sources = (x, offsets, layer.weight, layer.bias)
    first, second = (torch.autograd.grad(out, sources, pull) for out in outputs)
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
