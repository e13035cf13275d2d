"""Layers of torch and mmcv exchanged for faster ones of the same formula; batch norms folded."""

from __future__ import annotations

import math
from typing import Any, cast

from mmcv.cnn.bricks.conv2d_adaptive_padding import Conv2dAdaptivePadding
from mmcv.cnn.bricks.swish import Swish
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils.fusion import fuse_conv_bn_eval

from htcl.ops.device import suits_gpu
from htcl.ops.normalization import batch_norm_scale_shift, group_norm, scale_shift


class GroupNorm(nn.GroupNorm):
    """torch's layer by :func:`~htcl.ops.normalization.group_norm`."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalises (B, C, ...)."""
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


class _FewKernels:
    """Goes in front of a batch norm's class.

    With fixed statistics it scales and shifts; PyTorch's GPU kernel for this case is slow on 16-bit
    input with float32 statistics. In a training ``num_batches_tracked`` stands still on a GPU, a
    kernel less for each of some 400 norms: nothing reads it, but for a momentum of None.
    """

    def forward(self, input: Tensor) -> Tensor:
        norm = cast(Any, self)
        if norm.running_mean is None or norm.momentum is None or not suits_gpu(input):
            return super().forward(input)  # type: ignore[misc]
        if norm.training:
            statistics = (norm.running_mean, norm.running_var)
            return F.batch_norm(
                input, *statistics, norm.weight, norm.bias, True, norm.momentum, norm.eps
            )
        return scale_shift(
            input,
            *batch_norm_scale_shift(
                norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.eps
            ),
        )


class BatchNorm1d(_FewKernels, nn.BatchNorm1d):
    """torch's layer in few kernels."""


class BatchNorm2d(_FewKernels, nn.BatchNorm2d):
    """torch's layer in few kernels."""


class BatchNorm3d(_FewKernels, nn.BatchNorm3d):
    """torch's layer in few kernels."""


class FusedSwish(Swish):
    """``x * sigmoid(x)`` in one pass, which keeps ``x`` alone for the gradient."""

    def forward(self, x: Tensor) -> Tensor:
        """Activates a tensor of any shape."""
        return F.silu(x)


class SamePaddedConv2d(Conv2dAdaptivePadding):
    """mmcv's layer; it lets the convolution pad where both sides get the same number of zeros."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, O, ceil(H / stride), ceil(W / stride))."""
        sizes = zip(x.shape[2:], self.kernel_size, self.stride, self.dilation, strict=True)
        missing = [
            max((math.ceil(n / step) - 1) * step + (kernel - 1) * spread + 1 - n, 0)
            for n, kernel, step, spread in sizes
        ]
        if any(count % 2 for count in missing):
            return super().forward(x)
        half = [count // 2 for count in missing]
        return F.conv2d(x, self.weight, self.bias, self.stride, half, self.dilation, self.groups)


_EXCHANGED: dict[type[nn.Module], type[nn.Module]] = {
    nn.GroupNorm: GroupNorm,
    nn.BatchNorm1d: BatchNorm1d,
    nn.BatchNorm2d: BatchNorm2d,
    nn.BatchNorm3d: BatchNorm3d,
    Swish: FusedSwish,
    Conv2dAdaptivePadding: SamePaddedConv2d,
}


def exchange_layers(model: nn.Module) -> None:
    """Gives every layer of a class that has a faster one here that class, in place.

    Formulas, names of weights and ``isinstance`` stay as they are.
    """
    for module in model.modules():
        module.__class__ = _EXCHANGED.get(type(module), type(module))


def fold_batch_norms(model: nn.Module) -> nn.Module:
    """Folds each batch norm into the convolution before it, in place, and returns the model.

    With the scale s and shift t of a batch norm in evaluation mode, ``s conv(x) + t`` is one
    convolution of weight ``s W`` and bias ``s b + t``, equal to rounding. A module's batch norm
    belongs to the convolution that its module registered just before it, as all blocks of mmcv,
    mmdet, timm and this project do. A subclass of a batch norm that may do more than that stays; of
    timm's the activation stays. The folded model is for predictions alone: its state dict has no
    batch norms, so load weights before.

    Raises:
        ValueError: If the model is in training mode.
    """
    if model.training:
        raise ValueError("batch norms can be folded in evaluation mode alone: call eval() first")
    for module in list(model.modules()):
        previous, conv = "", None
        for name, child in list(module.named_children()):
            if isinstance(child, _BatchNorm) and conv is not None:
                rest = _after_norm(child)
                fits = child.num_features == conv.out_channels and child.track_running_stats
                if fits and rest is not None:
                    transposed = isinstance(conv, _ConvTransposeNd)
                    setattr(module, previous, fuse_conv_bn_eval(conv, child, transposed))
                    setattr(module, name, rest)
                conv = None
            else:
                previous, conv = name, child if isinstance(child, _ConvNd) else None
    return model


def _after_norm(norm: nn.Module) -> nn.Module | None:
    """What a batch norm does besides its formula; None if nobody knows."""
    if type(norm) is BatchNormAct2d:
        return norm.act
    plain = type(norm) in (*_EXCHANGED, *_EXCHANGED.values(), nn.SyncBatchNorm)
    return nn.Identity() if plain else None
