"""Normalisation for a GPU, where the built-in kernels are slow for few long rows.

Wu, He, "Group Normalization", ECCV 2018; Ioffe, Szegedy, "Batch Normalization: Accelerating Deep
Network Training by Reducing Internal Covariate Shift", ICML 2015, section 3.1.

Shape letters: B batch, C channel, G group, R value of a row; `...` any spatial axes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from htcl.ops.device import suits_gpu


def group_norm(
    x: Tensor, num_groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Group normalisation of (B, C, ...): ``(x - mean) / sqrt(variance + eps) * weight + bias``.

    Mean and (biased) variance are those of each sample's G groups of channels, all their places
    together; weight and bias (C,) belong to the channels. It is
    :func:`torch.nn.functional.group_norm`, and on a CPU it is that function. PyTorch's GPU kernel
    gives each row (sample, group) one block, so that a volume in two groups keeps two of a hundred
    processors busy; here a row is reduced by all of them, then scaled and shifted.

    16-bit input gives 16-bit output, also under autocast; sums are float32 at least.
    """
    if not suits_gpu(x):
        return F.group_norm(x, num_groups, weight, bias, eps)
    channels = x.shape[1]
    weight = x.new_ones(channels) if weight is None else weight
    bias = x.new_zeros(channels) if bias is None else bias
    with torch.autocast(x.device.type, enabled=False):
        return _GroupNorm.apply(x.contiguous(), num_groups, weight, bias, eps)


def scale_shift(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """``x * scale + shift`` with a number for each channel of (B, C, ...), in the dtype of ``x``.

    The product is rounded once, whatever the dtypes. Scale and shift are (C,) or (B, C).
    """
    scale, shift = (t.reshape(*t.shape, *[1] * (x.dim() - 2)) for t in (scale, shift))
    with torch.autocast(x.device.type, enabled=False):
        if torch.is_grad_enabled() and any(t.requires_grad for t in (x, scale, shift)):
            return torch.addcmul(shift, x, scale).to(x.dtype)
        return torch.addcmul(shift, x, scale, out=torch.empty_like(x))


def batch_norm_scale_shift(
    mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor]:
    """Batch normalisation with known statistics (C,) as ``scale`` and ``shift`` (C,)."""
    scale = (variance + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    return scale, -mean * scale if bias is None else torch.addcmul(bias, mean, scale, value=-1)


class _GroupNorm(torch.autograd.Function):
    """With s = weight / sqrt(variance + eps), y = x s + (bias - mean s).

    The backward pass is PyTorch's, whose kernel has a block for each channel, in float32 at least.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, num_groups: int, weight: Tensor, bias: Tensor, eps: float
    ) -> Tensor:
        rows = x.view(len(x), num_groups, -1)
        if x.dtype in (torch.float16, torch.bfloat16):
            # var_mean would round the statistics to 16 bits. Sums of squares lose digits where
            # the mean exceeds the deviation a thousandfold; such 16-bit values have none to lose.
            mean = rows.mean(dim=2, dtype=torch.float32)
            norm = torch.linalg.vector_norm(rows, dim=2, dtype=torch.float32)
            variance = (norm.square() / rows.shape[2] - mean.square()).clamp_min_(0)
        else:
            variance, mean = torch.var_mean(rows, dim=2, correction=0)
        reciprocal = (variance + eps).rsqrt()
        scale, shift = _by_channel(mean, reciprocal, weight, bias)
        ctx.save_for_backward(x, weight, mean, reciprocal)
        return scale_shift(x, scale, shift)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, Tensor, Tensor, None]:
        x, weight, mean, reciprocal = ctx.saved_tensors
        given, wide, factor = (t.to(mean.dtype).contiguous() for t in (grad, x, weight))
        sizes = (*x.shape[:2], math.prod(x.shape[2:]), mean.shape[1])
        dx, grad_weight, grad_bias = torch.ops.aten.native_group_norm_backward(
            given, wide, mean, reciprocal, factor, *sizes, [True, True, True]
        )
        dtype = weight.dtype
        return dx.to(x.dtype), None, grad_weight.to(dtype), grad_bias.to(dtype), None


def _by_channel(
    mean: Tensor, reciprocal: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Scale and shift (B, C) from statistics (B, G)."""
    groups, channels = mean.shape[1], len(weight)
    scale = reciprocal[:, :, None] * weight.view(groups, -1)
    shift = torch.addcmul(bias.view(groups, -1), mean[:, :, None], scale, value=-1)
    return scale.reshape(-1, channels), shift.reshape(-1, channels)
