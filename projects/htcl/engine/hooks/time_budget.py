"""Trains for a given time, with a schedule by elapsed time."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import broadcast, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop, Runner

from htcl.errors import InvalidValueError

# More steps than any time allows; stands where a config says how many there are.
NO_END = 10**9
# Where a checkpoint notes the time that its training has taken.
_ELAPSED = "elapsed_seconds"
# Several processes agree on the time this often, steps.
_AGREE_EVERY = 10


@HOOKS.register_module()
class TimeBudgetHook(Hook):
    """Ends a training after some minutes; the learning rate follows the share of them that is over.

    It rises over the warm-up and falls by half a cosine to its end. Everything counts: waiting for
    data, evaluations, checkpoints, and the sittings before a resumed one. The last step ends as any
    last step does, with checkpoint and evaluation, which come on top.

    Args:
        minutes: The budget.
        warmup: Share of it until the rate has risen to the config's.
        final: Share of the config's rate that is left at the end.
        min_steps: Steps that are made even if the time is over.
    """

    # Before those that note the learning rate or look whether a step is the last one.
    priority = "HIGHEST"

    def __init__(
        self, minutes: float, warmup: float = 0.03, final: float = 0.05, min_steps: int = 1
    ) -> None:
        if not minutes > 0:
            raise InvalidValueError(f"minutes={minutes}: expected more than 0")
        self.seconds = 60 * minutes
        self.warmup, self.final, self.min_steps = warmup, final, min_steps
        self._before = 0.0
        self._begun = 0.0

    def before_train(self, runner: Runner) -> None:
        """Takes up the time of earlier sittings."""
        if not isinstance(runner.train_loop, IterBasedTrainLoop):
            raise InvalidValueError(
                "a training by time goes by steps, but this config's train_cfg goes by epochs: "
                "take train_cfg.type=IterBasedTrainLoop, as configs/_base_/schedules/mini.py has it"
            )
        info = runner.message_hub.runtime_info
        self._before = float(info.get(_ELAPSED, 0.0))
        self._begun = time.monotonic()
        for group in runner.optim_wrapper.param_groups:
            group.setdefault("initial_lr", group["lr"])

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Sets the learning rate; makes this step the last one if the time is over."""
        elapsed = self._before + time.monotonic() - self._begun
        if get_world_size() > 1:
            if runner.iter % _AGREE_EVERY:
                return
            device = next(runner.model.parameters()).device
            agreed = torch.tensor(elapsed, dtype=torch.float64, device=device)
            broadcast(agreed)
            elapsed = agreed.item()
        runner.message_hub.update_info(_ELAPSED, elapsed)
        share = elapsed / self.seconds
        for group in runner.optim_wrapper.param_groups:
            group["lr"] = group["initial_lr"] * self.factor(share)
        if share >= 1 and runner.iter + 1 >= self.min_steps:
            runner.train_loop._max_iters = runner.iter + 1

    def factor(self, share: float) -> float:
        """Share of the config's learning rate after a share of the time."""
        if share < self.warmup:
            # Not 0 at the first step, which would be lost.
            return max(share / self.warmup, self.final)
        fallen = min((share - self.warmup) / (1 - self.warmup), 1.0)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * fallen))


def train_for(cfg: Config, minutes: float) -> None:
    """Makes a config train for so many minutes instead of its own number of steps."""
    cfg.param_scheduler = []
    cfg.train_cfg.max_iters = NO_END
    cfg.custom_hooks = [
        *cfg.get("custom_hooks", []), {"type": "TimeBudgetHook", "minutes": minutes}
    ]  # fmt: skip
