"""mmengine hooks: losses, progress bar, predictions, pictures, training IoU, step seeds."""

from htcl.engine.hooks.loss_transfer import LossTransferHook
from htcl.engine.hooks.prediction_picture import PredictionPictureHook
from htcl.engine.hooks.prediction_writer import PredictionWriterHook
from htcl.engine.hooks.progress_bar import ProgressBarHook
from htcl.engine.hooks.step_seed import StepSeedHook
from htcl.engine.hooks.train_iou import TrainIoUHook

__all__ = [
    "LossTransferHook",
    "PredictionPictureHook",
    "PredictionWriterHook",
    "ProgressBarHook",
    "StepSeedHook",
    "TrainIoUHook",
]
