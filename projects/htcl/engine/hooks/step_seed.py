"""Makes the random numbers of a training depend on nothing but step and pass of the data."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS, HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class StepSeedHook(Hook):
    """Seeds torch before each training step with the run's seed, the step and the process.

    Dropout then drops the same in step k whether a run came there in one go or was resumed, and
    differs between processes. Before each pass of the data it also seeds numpy, whose numbers the
    augmentations draw, in this process; of the loader's processes :func:`seed_worker` takes care.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Seeds torch, from which the loader's processes get their seeds, and numpy."""
        rank, world_size = get_dist_info()
        seed = (runner.seed * 1_000_003 + runner.epoch) * world_size + rank
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seeds all devices."""
        rank, world_size = get_dist_info()
        # Neighbouring runs (seeds 0 and 1) must not share steps.
        step = runner.seed * 1_000_003 + runner.iter
        torch.manual_seed(step * world_size + rank)


@FUNCTIONS.register_module()
def seed_worker(worker_id: int) -> None:
    """Seeds a process of a loader that is started for one pass of the data.

    mmengine's own takes the same seed for every pass: augmentations would repeat themselves. Here
    it comes from torch's state at the start of the pass, see :class:`StepSeedHook`.
    """
    own = torch.initial_seed() % 2**32
    np.random.seed(own)
    random.seed(own)
