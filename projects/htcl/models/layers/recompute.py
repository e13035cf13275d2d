"""Activation checkpointing that leaves batch-norm statistics alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


@contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Stops the batch norms of ``module`` from updating their running statistics."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.training]
    saved = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, saved, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


def recompute(
    module: nn.Module, function: Callable[..., Any], *inputs: Any, enabled: bool = True
) -> Any:
    """Calls ``function(*inputs)`` and computes it again in the backward pass instead of storing it.

    A plain checkpoint runs every batch norm twice a step and so moves its running statistics twice;
    here the second run leaves them as they are.

    Args:
        module: The module that owns the batch norms which ``function`` runs.
        function: What to call, usually ``module`` itself.
        inputs: Arguments of ``function``.
        enabled: False calls the function plainly.

    Returns:
        What ``function`` returns.
    """
    if not (enabled and torch.is_grad_enabled()):
        return function(*inputs)
    return checkpoint(
        function,
        *inputs,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _frozen_statistics(module)),
    )
