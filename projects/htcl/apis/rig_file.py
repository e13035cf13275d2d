"""Description of a rig of several cameras: a YAML file."""

from __future__ import annotations

import math
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from htcl.apis.camera_file import CameraCalibration, check_keys, image_size_of, pinhole, read_yaml
from htcl.datasets.calibration import KittiCalibration
from htcl.datasets.plausibility import check_mounting
from htcl.errors import InvalidValueError
from htcl.files import plain_name

_KEYS = ("images", "image_size", "fx", "fy", "cx", "cy", "reference_from_camera")


@dataclass(frozen=True, eq=False)
class RigCamera:
    """One camera of a rig.

    Attributes:
        name: Its name.
        images: Image, folder of images or video.
        calibration: Its calibration; ``lidar_from_camera`` leads to the frame of the voxels.
    """

    name: str
    images: Path
    calibration: CameraCalibration


def read_rig(path: str | Path) -> list[RigCamera]:
    """Reads a rig file; ``docs/inference.md`` describes it.

    Raises:
        MissingFileError: If there is no such file.
        InvalidValueError: If a key is missing or unknown, or a value is wrong.
    """
    path = Path(path)
    content = read_yaml(path)
    check_keys(path, "", content, ("cameras",))
    cameras = content["cameras"]
    if not isinstance(cameras, dict) or not cameras:
        raise InvalidValueError(
            f"{path}: cameras must hold a block for each camera, found {reprlib.repr(cameras)}"
        )
    return [_camera(path, str(name), block) for name, block in cameras.items()]


def _camera(path: Path, name: str, block: Any) -> RigCamera:
    plain_name(name, f"{path}: the name of a camera")
    prefix = f"cameras.{name}."
    check_keys(path, prefix, block, _KEYS)
    size = image_size_of(path, block, prefix)
    intrinsics = pinhole(path, block, prefix, size)
    mounting = _pose(path, f"{prefix}reference_from_camera", block["reference_from_camera"])
    calibration = KittiCalibration(intrinsics, intrinsics, np.linalg.inv(mounting))
    # Folders are named as seen from the file.
    images = path.parent / str(block["images"])
    return RigCamera(name, images, CameraCalibration(path, calibration, size, stereo=False))


def _pose(path: Path, key: str, value: Any) -> np.ndarray:
    try:
        rows = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        rows = np.empty(0)
    if rows.shape not in ((3, 4), (4, 4)) or not math.isfinite(float(np.abs(rows).sum())):
        raise InvalidValueError(
            f"{path}: {key} must be three rows of four numbers, found {reprlib.repr(value)}"
        )
    matrix = np.eye(4)
    matrix[:3] = rows[:3]
    check_mounting(matrix, f"{path}: {key}")
    return matrix
