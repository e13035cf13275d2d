"""A training step's losses on the host, in one copy."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor


@HOOKS.register_module()
class LossTransferHook(Hook):
    """Makes numbers of a step's losses before anyone else looks at them.

    mmengine's hooks would copy one loss after the other, and each copy waits for the GPU.
    """

    priority = "HIGHEST"

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Replaces the scalar tensors of ``outputs``."""
        losses = {k: v.detach() for k, v in (outputs or {}).items() if isinstance(v, Tensor)}
        if losses:
            values = torch.stack([value.double() for value in losses.values()]).tolist()
            outputs.update(zip(losses, values, strict=True))
