"""An optimiser whose state is divided among the processes (ZeRO, stage 1).

Rajbhandari et al., "ZeRO: memory optimizations toward training trillion parameter models",
SC 2020, section 5.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as torch_dist
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIMIZERS
from torch.distributed.optim import ZeroRedundancyOptimizer

from htcl.errors import InvalidValueError

# Who writes the checkpoint.
_WRITER = 0


@OPTIMIZERS.register_module()
class ShardedOptimizer(ZeroRedundancyOptimizer):
    """Each of N processes keeps about 1/N of the state: AdamW's 8 bytes a weight are 8/N.

    Weights and gradients stay whole in every process, steps are those of the optimiser alone.
    mmengine's class of this kind cannot be saved: its state is asked for by one process, and
    gathering needs all (:func:`gather_state`).

    Args:
        params: Parameters or groups of them.
        optimizer_type: Name of a class of ``torch.optim``.
        **kwargs: Arguments of that class.

    Raises:
        InvalidValueError: If there is one process alone, or no such class.
    """

    def __init__(self, params: Iterable[Any], optimizer_type: str, **kwargs: Any) -> None:
        if not torch_dist.is_initialized():
            raise InvalidValueError(
                "optim_wrapper.optimizer.type='ShardedOptimizer' divides the state among "
                "processes, and there is one: start with `bash run.sh CONFIG N`, or set "
                f"optim_wrapper.optimizer.type={optimizer_type}"
            )
        optimizer_class = getattr(torch.optim, optimizer_type, None)
        if optimizer_class is None:
            raise InvalidValueError(
                f"optim_wrapper.optimizer.optimizer_type={optimizer_type!r}: torch.optim has no "
                "such class; AdamW is one"
            )
        super().__init__(list(params), optimizer_class, **kwargs)


def gather_state(optim_wrapper: OptimWrapper) -> None:
    """Brings a sharded optimiser's state to the process that saves it; all processes call this."""
    optimizer = getattr(optim_wrapper, "optimizer", None)
    if isinstance(optimizer, ZeroRedundancyOptimizer):
        optimizer.consolidate_state_dict(to=_WRITER)
