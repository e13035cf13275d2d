"""mmengine hooks: progress bar, saved predictions, pictures in TensorBoard."""

from htcl.engine.hooks.prediction_picture import PredictionPictureHook
from htcl.engine.hooks.prediction_writer import PredictionWriterHook
from htcl.engine.hooks.progress_bar import ProgressBarHook

__all__ = ["PredictionPictureHook", "PredictionWriterHook", "ProgressBarHook"]
