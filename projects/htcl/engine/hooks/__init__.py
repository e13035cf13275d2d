"""mmengine hooks: progress bar, saved predictions, pictures in TensorBoard, seeds of steps."""

from htcl.engine.hooks.prediction_picture import PredictionPictureHook
from htcl.engine.hooks.prediction_writer import PredictionWriterHook
from htcl.engine.hooks.progress_bar import ProgressBarHook
from htcl.engine.hooks.step_seed import StepSeedHook

__all__ = ["PredictionPictureHook", "PredictionWriterHook", "ProgressBarHook", "StepSeedHook"]
