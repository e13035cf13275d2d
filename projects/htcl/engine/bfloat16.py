"""Mixed precision without loss scaling, on every device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass of a training step under bfloat16 autocast.

    mmengine's ``AmpOptimWrapper`` refuses CPUs, because float16 needs a gradient scaler and that
    one a GPU. bfloat16 has the exponents of float32 and needs none. Weights, gradients and
    optimiser stay in float32. Whether a CPU gains from it depends on its bfloat16 instructions.
    Arguments are those of mmengine's ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Context of the forward pass; the device of the model's parameters decides."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield
