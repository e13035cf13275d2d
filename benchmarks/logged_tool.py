"""Runs the project's tools for benchmarks, their output in the run's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run_logged(command: Sequence[str], folder: Path, threads: int = 1) -> str:
    """Runs a Python file of the repository; what it prints is added to ``folder/output.log``.

    Returns:
        What went wrong, empty if nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "output.log").open("a") as log:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdout=log,
            stderr=log,
            check=False,
        )
    return f"{command[0]} failed, see {folder / 'output.log'}" if done.returncode else ""


def schedule_options(steps: int, batch_size: int) -> list[str]:
    """Config options of a short training of a mini network that is scored by itself."""
    warm_up = min(50, steps // 6)
    return [
        f"max_iters={steps}",
        f"batch_size={batch_size}",
        f"param_scheduler.0.end={warm_up}",
        f"param_scheduler.1.begin={warm_up}",
        f"train_cfg.val_begin={steps + 1}",
    ]
