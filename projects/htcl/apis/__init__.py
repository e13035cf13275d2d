"""Prediction from Python: one class for images, folders, videos and streams."""

from htcl.apis.camera_file import CameraCalibration, read_calibration
from htcl.apis.inferencer import HTCLInferencer
from htcl.apis.model_loading import load_model
from htcl.apis.stream import InferenceStream

__all__ = [
    "CameraCalibration",
    "HTCLInferencer",
    "InferenceStream",
    "load_model",
    "read_calibration",
]
