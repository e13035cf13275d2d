"""A bar with rate and time left for training, validation and test loops."""

from __future__ import annotations

import math
import sys
from typing import Any, TextIO

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop, Runner
from tqdm import tqdm

from htcl.engine.hooks.time_budget import NO_END


class _Lines:
    """Makes lines of a bar, which otherwise rewrites one line and runs into what is logged."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Writes a state of the bar on a line of its own, but no blanks that would erase one."""
        if text.strip():
            self._stream.write(text.strip() + "\n")

    def flush(self) -> None:
        """Hands on what is written."""
        self._stream.flush()


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Shows a bar on the main process.

    On a file or pipe it writes a few lines; the logger's say more.

    Args:
        file_updates: Number of lines when the output is not a terminal.
    """

    priority = "VERY_LOW"

    def __init__(self, file_updates: int = 2) -> None:
        self.file_updates = file_updates
        self._bars: dict[str, tqdm] = {}

    def _open(self, mode: str, total: int | None, initial: int = 0) -> None:
        if not is_main_process():
            return
        if sys.stderr.isatty() or total is None:
            when: dict[str, Any] = {"dynamic_ncols": True}
        else:
            # By steps alone, not by time (tqdm's watchdog too); nothing before the first, and the
            # last line when the bar is closed.
            steps = (total - initial) // self.file_updates + 1
            when = {"miniters": steps, "mininterval": 0, "maxinterval": math.inf, "delay": 1e-9}
            when["file"] = _Lines(sys.stderr)
        self._bars[mode] = tqdm(
            total=total, initial=initial, desc=mode, unit="it", leave=mode != "val", **when
        )

    def _close(self, mode: str) -> None:
        if mode in self._bars:
            self._bars.pop(mode).close()

    def before_train(self, runner: Runner) -> None:
        """Opens the bar at the iteration that a resumed run starts from."""
        # Of a training by time nobody knows the number of steps; outside of a terminal the logger
        # alone tells of it.
        total = None if runner.max_iters >= NO_END else runner.max_iters
        if total is not None or sys.stderr.isatty():
            self._open("train", total, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """Closes the bar."""
        self._close("train")

    def _before_epoch(self, runner: Runner, mode: str = "train") -> None:
        if mode != "train":
            self._open(mode, len(getattr(runner, f"{mode}_dataloader")))

    def _after_epoch(self, runner: Runner, mode: str = "train") -> None:
        if mode != "train":
            self._close(mode)

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
        mode: str = "train",
    ) -> None:
        """Advances and shows the loss of a training."""
        if mode not in self._bars:
            return
        self._bars[mode].update()
        if mode == "train" and outputs:
            label = f"{torch.as_tensor(outputs['loss']).item():.3f}"
            if not isinstance(runner.train_loop, IterBasedTrainLoop):
                label += f", epoch {runner.epoch + 1}/{runner.max_epochs}"
            self._bars[mode].set_postfix_str(f"loss {label}", refresh=False)
