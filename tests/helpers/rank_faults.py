"""A hook that makes one rank of a training die or stop; named by configs of tests."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class RankFaultHook(Hook):
    """Lets a fault happen before a step, once if ``marker`` is given: a file made beforehand."""

    def __init__(self, how: str, rank: int = 1, step: int = 2, marker: str | None = None) -> None:
        self.how, self.rank, self.step = how, rank, step
        self.marker = None if marker is None else Path(marker)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if get_rank() != self.rank or runner.iter != self.step:
            return
        if self.marker is not None:
            if self.marker.exists():
                return
            self.marker.touch()
        if self.how == "raise":
            raise RuntimeError("the fault of the test")
        if self.how == "memory":
            raise MemoryError("the fault of the test")
        if self.how == "worker":
            for process in multiprocessing.active_children():
                process.kill()
            return
        os.kill(os.getpid(), {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[self.how])
