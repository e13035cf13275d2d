"""How well the network does on what it is trained with."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from htcl.evaluation.ssc_confusion import confusion_matrix, ssc_scores
from htcl.losses import VoxelPrediction


@HOOKS.register_module()
class TrainIoUHook(Hook):
    """Logs ``train/iou`` and ``train/miou`` (0 to 1) of the voxels that a step's losses see.

    The network calls its ``training_observers`` with the prediction; a network without such a list
    is not watched.

    Args:
        interval: Steps between two looks; the others cost nothing.
    """

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval
        self._due = False
        self._empty_class = 0
        self._scores: dict[str, float] = {}

    def before_train(self, runner: Runner) -> None:
        """Starts to watch."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        observers = getattr(model, "training_observers", None)
        if observers is not None and self._observe not in observers:
            self._empty_class = model.specification.empty_class
            observers.append(self._observe)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Looks at the steps that the logger prints, if its interval is the same."""
        self._due = self.every_n_train_iters(runner, self.interval)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Hands the scores to the logger."""
        for name, value in self._scores.items():
            runner.message_hub.update_scalar(name, value)
        self._scores = {}

    def _observe(self, prediction: VoxelPrediction) -> None:
        if not self._due:
            return
        logits, target, ignored = prediction.logits, prediction.target, prediction.ignore_index
        confusion = confusion_matrix(logits.argmax(dim=1), target, logits.shape[1], ignored)
        scores = ssc_scores(confusion.cpu().numpy(), self._empty_class)
        self._scores = {"train/iou": scores.completion_iou, "train/miou": scores.mean_iou}
