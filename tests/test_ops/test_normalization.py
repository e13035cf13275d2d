"""Group norm and batch norm in their GPU form against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from htcl.ops import gpu_operators
from htcl.ops.normalization import batch_norm_scale_shift, group_norm, scale_shift

SHAPES = [((2, 6), 3), ((1, 4, 5), 1), ((2, 6, 3, 5), 2), ((2, 8, 3, 4, 5), 8), ((3, 32, 7, 2), 4)]


@pytest.fixture(autouse=True)
def on_gpu_operators():
    with gpu_operators():
        yield


def random_case(shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(len(shape))
    x = torch.randn(shape, generator=generator, dtype=torch.float64) * 3 + 1
    weight, bias = torch.randn(2, shape[1], generator=generator, dtype=torch.float64)
    return x.to(dtype), weight.to(dtype), bias.to(dtype)


def test_by_hand():
    """Rows (1, 3) of mean 2, variance 1 and (0, 8) of mean 4, variance 16."""
    x = torch.tensor([[1.0, 3.0], [0.0, 8.0]])
    out = group_norm(x, 1, torch.tensor([2.0, 1.0]), torch.tensor([0.0, 10.0]), 0.0)
    torch.testing.assert_close(out, torch.tensor([[-2.0, 11.0], [-2.0, 11.0]]))


@pytest.mark.parametrize(("shape", "groups"), SHAPES)
@pytest.mark.parametrize("affine", [True, False])
def test_equals_torch(shape, groups, affine):
    x, weight, bias = random_case(shape)
    parameters = (weight, bias) if affine else (None, None)
    torch.testing.assert_close(
        group_norm(x, groups, *parameters, 1e-5), F.group_norm(x, groups, *parameters, 1e-5)
    )


@pytest.mark.parametrize(("shape", "groups"), SHAPES)
def test_gradients_equal_torch(shape, groups):
    inputs = [t.requires_grad_() for t in random_case(shape)]
    weight = torch.randn(shape)
    ours, theirs = (
        torch.autograd.grad((norm(inputs[0], groups, *inputs[1:], 1e-5) * weight).sum(), inputs)
        for norm in (group_norm, F.group_norm)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_gradcheck():
    inputs = [t.requires_grad_() for t in random_case((2, 6, 3, 4), torch.float64)]
    assert torch.autograd.gradcheck(lambda x, w, b: group_norm(x, 2, w, b, 1e-5), inputs)


def test_rows_that_do_not_lie_together():
    x, weight, bias = random_case((2, 6, 3, 5))
    strided = x.to(memory_format=torch.channels_last)
    torch.testing.assert_close(
        group_norm(strided, 2, weight, bias, 1e-5), group_norm(x, 2, weight, bias, 1e-5)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(dtype):
    """Statistics are those of float32: the result is the exact one in the nearest 16-bit number."""
    x, weight, bias = random_case((2, 4, 3, 40))
    x = (x + 20).to(dtype)
    out = group_norm(x, 2, weight, bias, 1e-5)
    assert out.dtype == dtype
    exact = F.group_norm(x.double(), 2, weight.double(), bias.double(), 1e-5)
    spacing = torch.finfo(dtype).eps * exact.abs().clamp_min(0.1)
    assert ((out.double() - exact).abs() / spacing).max() < 0.6


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gradients(dtype):
    x, weight, bias = random_case((2, 4, 3, 40))
    half = x.to(dtype).requires_grad_()
    leaves = [half, weight.requires_grad_(), bias.requires_grad_()]
    wide = [leaf.detach().double().requires_grad_() for leaf in leaves]
    factor = torch.randn(x.shape).to(dtype)
    with torch.autocast("cpu", dtype):
        ours = torch.autograd.grad(group_norm(half, 2, *leaves[1:], 1e-5), leaves, factor)
    theirs = torch.autograd.grad(F.group_norm(wide[0], 2, *wide[1:], 1e-5), wide, factor.double())
    assert [grad.dtype for grad in ours] == [dtype, torch.float32, torch.float32]
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_of_known_statistics(affine):
    x, weight, bias = random_case((2, 6, 3, 5))
    mean, variance = torch.randn(6), torch.rand(6) + 0.1
    parameters = (weight, bias) if affine else (None, None)
    torch.testing.assert_close(
        scale_shift(x, *batch_norm_scale_shift(mean, variance, *parameters, 1e-3)),
        F.batch_norm(x, mean, variance, *parameters, eps=1e-3),
    )


def test_scale_shift_differentiates_all():
    inputs = [t.requires_grad_() for t in random_case((2, 3, 4), torch.float64)]
    assert torch.autograd.gradcheck(scale_shift, inputs)


def test_scale_shift_keeps_half_precision():
    x = torch.ones(1, 2, 3, dtype=torch.bfloat16)
    out = scale_shift(x, torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0]))
    assert out.dtype == torch.bfloat16
    assert out[0].tolist() == [[1] * 3, [3] * 3]


def test_scale_shift_differentiates_a_shift_alone():
    """As of a norm whose weight is frozen."""
    shift = torch.zeros(2, requires_grad=True)
    scale_shift(torch.ones(1, 2, 3), torch.ones(2), shift).sum().backward()
    assert shift.grad.tolist() == [3, 3]
