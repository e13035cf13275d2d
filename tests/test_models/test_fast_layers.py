"""Layers exchanged by class, and batch norms folded into convolutions."""

from __future__ import annotations

import copy

import pytest
import torch
from mmcv.cnn import ConvModule
from mmcv.cnn.bricks.conv2d_adaptive_padding import Conv2dAdaptivePadding
from mmcv.cnn.bricks.swish import Swish
from torch import nn

from htcl.models.fast_layers import (
    BatchNorm2d,
    GroupNorm,
    SamePaddedConv2d,
    exchange_layers,
    fold_batch_norms,
)
from htcl.ops import gpu_operators


@pytest.fixture
def network():
    """Every kind of layer that occurs, batch norms with statistics of their own."""
    torch.manual_seed(0)
    model = nn.Sequential(
        ConvModule(3, 8, 3, norm_cfg={"type": "BN"}),
        ConvModule(8, 8, 3, norm_cfg={"type": "GN", "num_groups": 2}, act_cfg=None),
        nn.Sequential(nn.ConvTranspose2d(8, 6, 2, stride=2), nn.BatchNorm2d(6), nn.ReLU()),
        nn.BatchNorm2d(6),
        nn.Conv2d(6, 4, 1, bias=False),
    )
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2)
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    return model


def test_exchanged_network_is_the_same(network):
    plain, on_cpu = copy.deepcopy(network), copy.deepcopy(network)
    exchange_layers(network)
    exchange_layers(on_cpu)
    assert type(network[1].gn) is GroupNorm and type(network[3]) is BatchNorm2d
    assert list(network.state_dict()) == list(plain.state_dict())
    x = torch.randn(2, 3, 9, 9)
    for mode in (True, False):
        expected = plain.train(mode)(x)
        torch.testing.assert_close(on_cpu.train(mode)(x), expected, rtol=0, atol=0)
        with gpu_operators():
            torch.testing.assert_close(network.train(mode)(x), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(on_cpu.state_dict(), plain.state_dict(), rtol=0, atol=0)
    state = network.state_dict()
    for name, value in plain.state_dict().items():
        # The GPU form does not count batches.
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(state[name], value)


def test_frozen_batch_norm_still_learns_scale_and_shift(network):
    """Evaluation mode fixes the statistics, not the parameters."""
    plain = copy.deepcopy(network).eval()
    exchange_layers(network.eval())
    x = torch.randn(2, 3, 9, 9)
    plain(x).square().sum().backward()
    with gpu_operators():
        network(x).square().sum().backward()
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-3)


def test_folded_network_predicts_the_same(network):
    exchange_layers(network.eval())
    x = torch.randn(2, 3, 9, 9)
    expected = network(x)
    folded = fold_batch_norms(network)
    left = [name for name, m in folded.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert left == ["3"]  # it follows another batch norm's block, no convolution
    torch.testing.assert_close(folded(x), expected, rtol=1e-4, atol=1e-5)


def test_training_network_is_refused(network):
    with pytest.raises(ValueError, match=r"eval\(\)"):
        fold_batch_norms(network.train())


def test_swish_is_one_operator():
    layer = nn.Sequential(Swish())
    x = torch.tensor([-2.0, 0.0, 3.0])
    exchange_layers(layer)
    # x / (1 + exp(-x)): -2 / (1 + e^2), 0, 3 / (1 + e^-3)
    torch.testing.assert_close(layer(x), torch.tensor([-0.2384058, 0.0, 2.8577224]))


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(8, 9), (7, 12), (1, 2)])
def test_convolution_pads_itself(kernel, stride, size):
    """The result of mmcv's layer, which pads first, whether the padding is even or not."""
    layer = nn.Sequential(Conv2dAdaptivePadding(2, 3, kernel, stride))
    x = torch.randn(1, 2, *size)
    expected = layer(x)
    exchange_layers(layer)
    assert type(layer[0]) is SamePaddedConv2d
    torch.testing.assert_close(layer(x), expected)
