"""3D hourglass and its encoder."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from htcl.models.layers import Hourglass3D, HourglassEncoder, conv_gn_relu_3d


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def group_norm(x, weight, bias, num_groups, eps=1e-5):
    """Normalisation over the cells and channels of each group, written out."""
    batch, channels = x.shape[:2]
    grouped = x.reshape(batch, num_groups, -1)
    mean = grouped.mean(dim=2, keepdim=True)
    variance = ((grouped - mean) ** 2).mean(dim=2, keepdim=True)
    normed = ((grouped - mean) / (variance + eps).sqrt()).view_as(x)
    return normed * weight.view(1, channels, 1, 1, 1) + bias.view(1, channels, 1, 1, 1)


def test_conv_gn_relu_is_what_its_name_says():
    layer = conv_gn_relu_3d(3, 4, stride=2, num_groups=2)
    assert sorted(layer.state_dict()) == ["conv.weight", "gn.bias", "gn.weight"]
    x = torch.randn(2, 3, 4, 6, 5)
    out = F.conv3d(x, layer.conv.weight, stride=2, padding=1)
    expected = group_norm(out, layer.gn.weight, layer.gn.bias, 2).clamp(min=0)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("size", [(8, 4, 12), (7, 5, 6), (9, 10, 3), (1, 2, 3)])
def test_hourglass_keeps_every_size(size):
    hourglass = Hourglass3D(4).eval()
    assert hourglass(torch.randn(1, 4, *size)).shape == (1, 4, *size)


def test_hourglass_has_batch_norm_only_behind_transposed_convolutions():
    names = {n for n, _ in Hourglass3D(4).named_buffers() if n.endswith("running_mean")}
    assert names == {"up1.bn.running_mean", "up2.bn.running_mean"}


def test_hourglass_output_is_not_negative_and_passes_gradients():
    hourglass = Hourglass3D(4)
    x = torch.randn(2, 4, 8, 4, 4, requires_grad=True)
    out = hourglass(x)
    assert (out >= 0).all()
    out.square().sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in hourglass.parameters())


def test_encoder_channels():
    encoder = HourglassEncoder(3, hidden_channels=4, expand_channels=6, out_channels=5).eval()
    assert encoder(torch.randn(1, 3, 5, 4, 6)).shape == (1, 5, 5, 4, 6)
