"""Puts the prediction of fixed validation frames into TensorBoard while a run trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class PredictionPictureHook(Hook):
    """Predicts fixed frames of the validation set and logs the overview picture.

    Does nothing in a run without validation set.

    Args:
        interval: Iterations between pictures; 0 for none.
        frames: Indices into the validation set.
    """

    priority = "LOW"

    def __init__(self, interval: int = 1000, frames: Sequence[int] = (0,)) -> None:
        self.interval = interval
        self.frames = tuple(frames)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Draws when the interval is reached."""
        if self.interval > 0 and (runner.iter + 1) % self.interval == 0:
            self._draw(runner)

    @master_only
    def _draw(self, runner: Runner) -> None:
        if runner.val_loop is None:
            return
        # Brings Open3D, for which the start of a training should not wait.
        from htcl.visualization import build_frame_result, render_overview

        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        dataset = runner.val_dataloader.dataset
        was_training = model.training
        model.eval()
        for index in self.frames:
            sample = dataset[index % len(dataset)]
            with torch.no_grad():
                predicted = model.val_step(pseudo_collate([sample]))[0]
            picture = render_overview(build_frame_result(sample["inputs"], predicted))
            # No slash: the local backend takes the name as a file name.
            name = f"prediction_{predicted.sequence}_{predicted.frame}"
            runner.visualizer.add_image(name, picture, step=runner.iter + 1)
        model.train(was_training)
