"""Keeps numbers that are none out of the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from htcl.checkpoint.resuming import checkpoints_of
from htcl.errors import NonFiniteError, check_choice

# Where a checkpoint keeps the number of steps that were skipped.
_SKIPPED = "skipped_steps"


@HOOKS.register_module()
class FiniteStepHook(Hook):
    """Refuses steps whose losses or gradients are NaN or infinite; the weights stay as they were.

    Gradients that overflow in float16 are left to the gradient scaler, which halves its scale and
    tries again, as long as the losses are finite.

    Args:
        on_failure: ``'stop'`` ends the run and names frames, losses and the last checkpoint;
            ``'skip'`` leaves the step out, counts it (``skipped_steps`` in the log) and goes on.
        max_in_a_row: So many skipped steps one after another end the run all the same.

    Raises:
        InvalidValueError: If ``on_failure`` is neither.
    """

    # After LossTransferHook, before everything that logs or saves.
    priority = "VERY_HIGH"

    def __init__(self, on_failure: str = "stop", max_in_a_row: int = 10) -> None:
        check_choice("default_hooks.finite_step.on_failure", on_failure, ("stop", "skip"))
        self.on_failure = on_failure
        self.max_in_a_row = max_in_a_row
        self._in_a_row = 0
        self._refused = False

    def before_train(self, runner: Runner) -> None:
        """Puts itself before the optimiser, which a gradient scaler does not call on overflow."""
        runner.optim_wrapper.optimizer.register_step_pre_hook(self._before_step)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Begins a step."""
        self._refused = False

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stops the run or counts the step, if there was something to refuse.

        Raises:
            NonFiniteError: If the run must end.
        """
        # Numbers, or tensors where LossTransferHook is not in the config.
        losses = {k: torch.as_tensor(v).detach() for k, v in (outputs or {}).items()}
        bad = [name for name, value in losses.items() if not math.isfinite(value)]
        if not bad and not self._refused:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        where = f"{_frames(data_batch)}: {', '.join(bad) or 'gradients'}"
        if self._refused:
            # The processes' gradients are averaged, so all are here: each says what it has.
            where = "; ".join(all_gather_object(where))
        problem = f"iteration {runner.iter + 1}: not finite for {where}"
        if self.on_failure == "stop" or self._in_a_row >= self.max_in_a_row:
            raise NonFiniteError(self._advice(problem, runner))
        hub = runner.message_hub
        skipped = 1 + (hub.get_info(_SKIPPED) if _SKIPPED in hub.runtime_info else 0)
        hub.update_info(_SKIPPED, skipped)
        runner.logger.warning(f"{problem}; step skipped ({_SKIPPED}: {skipped})")

    def _advice(self, problem: str, runner: Runner) -> str:
        newest = next(iter(checkpoints_of(runner.work_dir)), None)
        good = f"the last good checkpoint is {newest}" if newest else "there is no checkpoint yet"
        row = f" ({self._in_a_row} steps in a row)" if self._in_a_row > 1 else ""
        return (
            f"{problem}{row}. The step was not taken; {good}. Look at these frames, lower "
            "optim_wrapper.optimizer.lr, or leave such steps out with "
            "default_hooks.finite_step.on_failure=skip"
        )

    def _before_step(self, optimizer: torch.optim.Optimizer, *args: Any) -> None:
        """Takes the gradients away, without which the optimiser changes nothing."""
        gradients = [
            parameter.grad
            for group in optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if gradients and not bool(torch.nn.utils.get_total_norm(gradients).isfinite()):
            self._refused = True
            optimizer.zero_grad(set_to_none=True)


def _frames(data_batch: Any) -> str:
    """The frames of a batch before the data preprocessor, as sequence/frame."""
    samples = data_batch.get("data_samples") if isinstance(data_batch, Mapping) else None
    names = [f"{sample.get('sequence')}/{sample.get('frame')}" for sample in samples or ()]
    return ", ".join(names) or "unknown frames"
