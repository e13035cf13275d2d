"""Prediction from Python: one class for images, folders, videos and streams."""

from htcl.apis.camera_file import CameraCalibration, read_calibration
from htcl.apis.inferencer import HTCLInferencer
from htcl.apis.stream import InferenceStream
from htcl.engine.runner import load_model

__all__ = [
    "CameraCalibration",
    "HTCLInferencer",
    "InferenceStream",
    "load_model",
    "read_calibration",
]
