"""Fusion of stereo and monocular depth."""

from __future__ import annotations

import pytest
import torch

from htcl.models.checkpointing import checkpoint_modules
from htcl.models.depth import StereoDepthFusion


def fusion(**changes) -> StereoDepthFusion:
    torch.manual_seed(0)
    return StereoDepthFusion(**{"channels": 4, **changes})


def distributions() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, 8, 4, 12, generator=generator).softmax(1) for _ in range(2)]


def test_is_a_distribution_of_both_inputs():
    stereo, mono = (p.requires_grad_() for p in distributions())
    prob = fusion()(stereo, mono)
    assert prob.shape == (2, 8, 4, 12)
    torch.testing.assert_close(prob.sum(1), torch.ones(2, 4, 12))
    prob[:, 3].sum().backward()
    assert stereo.grad.any()
    assert mono.grad.any()


def test_residual_starts_as_the_normalised_product():
    stereo, mono = distributions()
    product = stereo * mono
    expected = product / product.sum(dim=1, keepdim=True)
    torch.testing.assert_close(fusion(residual=True)(stereo, mono), expected)


def test_residual_learns_from_the_first_step():
    net = fusion(residual=True)
    net(*distributions())[:, 3].sum().backward()
    assert net.head.weight.grad.any()


def test_a_bin_that_one_rules_out_stays_possible():
    stereo, mono = (torch.zeros(1, 2, 4, 4) for _ in range(2))
    stereo[:, 0], mono[:, 1] = 1, 1
    assert (fusion(residual=True)(stereo, mono) == 0.5).all()


def test_checkpointing_changes_no_gradient():
    grads = []
    for checkpointing in ([], ["stem", "hourglasses.*", "refine"]):
        net = fusion().train()
        checkpoint_modules(net, checkpointing)
        net(*distributions())[:, 3].sum().backward()
        grads.append([p.grad for p in net.parameters()])
    torch.testing.assert_close(grads[0], grads[1])


def test_shapes_must_agree():
    stereo, mono = distributions()
    with pytest.raises(ValueError, match=r"\(2, 8, 4, 12\).*\(2, 7, 4, 12\).*depth_bins"):
        fusion()(stereo, mono[:, 1:])


def test_released_size():
    with torch.device("meta"):
        net = StereoDepthFusion(channels=32)
    assert sum(p.numel() for p in net.parameters()) == 3_394_657
