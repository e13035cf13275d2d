"""mmengine hooks: checkpoints and what they say, losses, pictures, scores, seeds, time."""

from htcl.engine.hooks.checkpoint import SafeCheckpointHook
from htcl.engine.hooks.finite_step import FiniteStepHook
from htcl.engine.hooks.loss_transfer import LossTransferHook
from htcl.engine.hooks.prediction_picture import PredictionPictureHook
from htcl.engine.hooks.prediction_writer import PredictionWriterHook
from htcl.engine.hooks.progress_bar import ProgressBarHook
from htcl.engine.hooks.scores_file import ScoresFileHook
from htcl.engine.hooks.step_seed import StepSeedHook
from htcl.engine.hooks.time_budget import TimeBudgetHook
from htcl.engine.hooks.train_iou import TrainIoUHook
from htcl.engine.hooks.training_facts import TrainingFactsHook

__all__ = [
    "FiniteStepHook",
    "LossTransferHook",
    "PredictionPictureHook",
    "PredictionWriterHook",
    "ProgressBarHook",
    "SafeCheckpointHook",
    "ScoresFileHook",
    "StepSeedHook",
    "TimeBudgetHook",
    "TrainIoUHook",
    "TrainingFactsHook",
]
