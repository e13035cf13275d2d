"""Keeps every score of a run together with where it comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, Runner

from htcl.provenance import (
    config_facts,
    data_facts,
    program_facts,
    weights_facts,
    write_scores,
)


@HOOKS.register_module()
class ScoresFileHook(Hook):
    """Writes the scores of each evaluation into the run's folder of logs, as JSON.

    ``<work_dir>/<time>/scores/{val_<iteration>,test}.json`` have the scores, and files
    ``.provenance.json`` beside them what :func:`scores_provenance` says.
    """

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Writes the scores of a validation."""
        self._write(runner, runner.val_loop, f"val_{runner.iter}", metrics)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Writes the scores of a test."""
        self._write(runner, runner.test_loop, "test", metrics)

    @master_only
    def _write(
        self, runner: Runner, loop: BaseLoop, name: str, metrics: dict[str, float] | None
    ) -> None:
        if metrics:
            path = Path(runner.log_dir) / "scores" / f"{name}.json"
            write_scores(path, metrics, scores_provenance(runner, loop))


def scores_provenance(runner: Runner, loop: BaseLoop) -> dict[str, Any]:
    """Where the scores of a validation or test come from.

    Args:
        runner: The run.
        loop: Its validation or test loop, after it has run.

    Returns:
        Program, config, weights (file, or iteration of this training), seed, data, and how each
        metric is defined that says so by an attribute ``definition``.
    """
    metrics = loop.evaluator.metrics
    source = getattr(runner, "evaluated_checkpoint", None)
    if source is None:
        weights = {"iteration": runner.iter, "of the training in": runner.work_dir}
    else:
        # Here the runner would build the training to tell its iteration.
        weights = weights_facts(source)
    return {
        **program_facts(),
        "config": config_facts(runner.cfg),
        "weights": weights,
        "seed": runner.seed,
        "processes": runner.world_size,
        "data": data_facts(loop.dataloader.dataset),
        "metrics": [m.definition for m in metrics if getattr(m, "definition", None)],
    }
