"""Makes the random numbers of a training step depend on nothing but the step."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class StepSeedHook(Hook):
    """Seeds torch before each training step with the run's seed, the step and the process.

    Dropout then drops the same in step k whether a run came there in one go or was resumed, and
    differs between processes. The data loader's worker processes are not touched.
    """

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seeds all devices."""
        rank, world_size = get_dist_info()
        # Neighbouring runs (seeds 0 and 1) must not share steps.
        step = runner.seed * 1_000_003 + runner.iter
        torch.manual_seed(step * world_size + rank)
