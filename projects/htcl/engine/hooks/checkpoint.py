"""Writes checkpoints so that a run may be killed at any moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, Runner

from htcl.checkpoint.atomic_backend import ATOMIC
from htcl.checkpoint.resuming import point_to
from htcl.files import remove_parts

# Where a checkpoint notes the step of its last evaluation.
_EVALUATED = "evaluated_iter"


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's checkpoints, of which a whole one exists at every moment.

    * A file appears under its name only when complete (:func:`htcl.files.atomic_write`).
    * What a new file replaces, an older one or the best so far, is removed after that.
    * The newest checkpoint knows whether its step has been evaluated. If not, the evaluation was
      lost when the run was killed, and the resumed run begins with it.

    Arguments are those of mmengine's ``CheckpointHook``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("file_client_args") is None:
            kwargs["backend_args"] = kwargs.get("backend_args") or {"backend": ATOMIC}
        super().__init__(*args, **kwargs)
        # Bests that go when the new ones are whole, by metric.
        self._former: dict[str, str | None] = {}
        self._written = False
        self.keep_ckpt_ids: Any = []

    def before_train(self, runner: Runner) -> None:
        """Finds this run's files; does the evaluation that a killed run has lost."""
        super().before_train(runner)
        if is_main_process():
            remove_parts(self.out_dir, ".pth")
        # By name alone: the folder may have been moved, or be a copy.
        self._bests = {key: path and self._at(Path(path).name) for key, path in self._bests.items()}
        here = self._at(self.filename_tmpl.format(self._step(runner)))
        self.last_ckpt = here if runner.iter > 0 and self.file_backend.isfile(here) else None
        if _evaluation_is_due(runner):
            runner.logger.info(f"evaluating iteration {runner.iter}, which the run had not done")
            runner.val_loop.run()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Saves the best checkpoint; notes in the newest that its step has been evaluated."""
        runner.message_hub.update_info(_EVALUATED, runner.iter)
        self._written = False
        super().after_val_epoch(runner, metrics)
        step = self._step(runner)
        if self.last_ckpt is None or self._written:
            return
        if self.last_ckpt == self._at(self.filename_tmpl.format(step)):
            meta = {"epoch": runner.epoch, "iter": runner.iter}
            self._save_checkpoint_with_step(runner, step, meta)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, float]) -> None:
        # mmengine removes the bests that it knows before it writes new ones.
        self._former = self._bests
        self._bests = dict.fromkeys(self._former)
        try:
            super()._save_best_checkpoint(runner, metrics)
            self._remove_former()
        finally:
            kept, self._former = self._former, {}
            self._bests = {key: path or kept.get(key) for key, path in self._bests.items()}

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        """As mmengine's, which removes the oldest file first and writes in place."""
        # Before the newest file names another best, so that no kill leaves one that nobody knows.
        self._remove_former()
        steps = [*(kept for kept in self.keep_ckpt_ids if kept != step), step]
        surplus = steps[: -self.max_keep_ckpts] if self.max_keep_ckpts > 0 else []
        # With the surplus: a resumed run removes it if this one does not come to that.
        runner.message_hub.update_info("keep_ckpt_ids", steps)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self._at(name)
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        self._written = True
        self.keep_ckpt_ids = steps[len(surplus) :]
        if is_main_process():
            point_to(runner.work_dir, self.last_ckpt)
        for old in surplus:
            self._remove(self._at(self.filename_tmpl.format(old)))

    @property
    def _bests(self) -> dict[str, str | None]:
        """Paths of the best checkpoints by metric, where mmengine keeps them."""
        if not self.save_best:
            return {}
        if len(self.key_indicators) == 1:
            return {"": self.best_ckpt_path}
        return {key: self.best_ckpt_path_dict.get(key) for key in self.key_indicators}

    @_bests.setter
    def _bests(self, paths: dict[str, str | None]) -> None:
        if "" in paths:
            self.best_ckpt_path = paths[""]
        elif paths:
            self.best_ckpt_path_dict = paths

    def _remove_former(self) -> None:
        for key, path in self._bests.items():
            former = self._former.get(key)
            if path and former and path != former:
                self._remove(former)

    def _remove(self, path: str) -> None:
        if is_main_process() and self.file_backend.isfile(path):
            self.file_backend.remove(path)

    def _at(self, name: str) -> str:
        return str(self.file_backend.join_path(self.out_dir, name))

    def _step(self, runner: Runner) -> int:
        """What the name of a checkpoint counts, between two steps."""
        return int(runner.epoch if self.by_epoch else runner.iter)


def _evaluation_is_due(runner: Runner) -> bool:
    """Whether a resumed run stands at a step that its loop would have evaluated, and did not."""
    loop = runner.train_loop
    done, last = runner.iter, loop.max_iters
    if isinstance(loop, EpochBasedTrainLoop):
        # Only between two passes: a checkpoint may also lie within one.
        whole = done == runner.epoch * len(loop.dataloader)
        done, last = (runner.epoch if whole else 0), loop.max_epochs
    if done == 0 or runner.val_loop is None:
        return False
    hub = runner.message_hub
    if _EVALUATED in hub.runtime_info and hub.get_info(_EVALUATED) == runner.iter:
        return False
    loop._decide_current_val_interval()
    return bool(done >= loop.val_begin and (done % loop.val_interval == 0 or done == last))
