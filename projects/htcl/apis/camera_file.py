"""Calibration of a user's own camera: KITTI's ``calib.txt``, or a small YAML file.

Frames: camera x right, y down, z front; voxel frame (KITTI's lidar frame) x front, y left, z up;
metres. ``a_from_b`` takes a point in b to a. The centre of the top-left pixel is (0, 0).
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from htcl.config_keys import closest
from htcl.datasets.calibration import KittiCalibration
from htcl.datasets.plausibility import (
    check_image_size,
    check_mounting,
    check_pair,
    check_projection,
)
from htcl.datasets.rig_range import LIDAR_HEIGHT
from htcl.errors import InvalidValueError, UserError
from htcl.files import read_text
from htcl.geometry import ImageTransform

# The networks learn a voxel frame that lies as KITTI's lidar does: 1.73 m above the road, 0.27 m
# behind the cameras (A. Geiger et al., "Vision meets Robotics: The KITTI Dataset", IJRR 2013).
CAMERA_FORWARD = 0.27

# Required and optional keys.
_FILE_KEYS = (("image_size", "fx", "fy", "cx", "cy", "camera"), ("baseline",))
_CAMERA_KEYS = (("height", "pitch"), ("roll", "forward", "left"))


@dataclass(frozen=True, eq=False)
class CameraCalibration:
    """A calibration and the images that it belongs to.

    Attributes:
        path: The file.
        kitti: The calibration in KITTI's terms.
        image_size: (height, width) of the images it was made for; None if the file does not say.
        stereo: Whether it describes a pair of cameras.
    """

    path: Path
    kitti: KittiCalibration
    image_size: tuple[int, int] | None = None
    stereo: bool = True

    def for_image(self, image_size: tuple[int, int]) -> KittiCalibration:
        """Calibration of images of (height, width) that were scaled since.

        Raises:
            InvalidValueError: If the images have another shape than the calibrated ones, or the
                principal point of ``calib.txt`` is not near their middle.
        """
        if self.image_size is None:
            check_image_size(self.kitti.p2, image_size, f"{self.path}: P2")
        if self.image_size is None or self.image_size == tuple(image_size):
            return self.kitti
        (old_height, old_width), (height, width) = self.image_size, image_size
        scale_y, scale_x = height / old_height, width / old_width
        # Whole-numbered sizes let the two scales differ a little.
        if abs(scale_x / scale_y - 1) > 0.02:
            raise InvalidValueError(
                f"{self.path}: image_size is {old_height} x {old_width}, but the images are "
                f"{height} x {width} (height x width): another shape, so they were cropped. "
                "Give the calibration of the cropped images"
            )
        resize = np.eye(4)
        resize[:3, :3] = ImageTransform.squeeze(self.image_size, image_size).matrix
        return replace(self.kitti, p2=resize @ self.kitti.p2, p3=resize @ self.kitti.p3)


def read_calibration(path: str | Path) -> CameraCalibration:
    """Reads a calibration file; ``docs/inference.md`` describes both formats.

    Args:
        path: ``.yml`` or ``.yaml``: the small format; any other name: KITTI's ``calib.txt``.

    Raises:
        MissingFileError: If there is no such file.
        InvalidValueError: If a key is missing or unknown, or a value is wrong.
    """
    path = Path(path)
    if path.suffix.lower() not in (".yml", ".yaml"):
        return CameraCalibration(path, KittiCalibration.from_file(path))
    content = read_yaml(path)
    check_keys(path, "", content, *_FILE_KEYS)
    camera = content["camera"]
    check_keys(path, "camera.", camera, *_CAMERA_KEYS)
    size = image_size_of(path, content)
    baseline = _number(path, "baseline", content.get("baseline", 0.0))
    pose = {key: _number(path, f"camera.{key}", value) for key, value in camera.items()}
    if "baseline" in content and baseline <= 0:
        raise InvalidValueError(f"{path}: baseline must be positive metres, found {baseline}")
    left = pinhole(path, content, "", size)
    right = left.copy()
    right[0, 3] = -left[0, 0] * baseline
    camera_from_lidar = np.linalg.inv(lidar_from_camera(**pose))
    check_mounting(np.linalg.inv(camera_from_lidar), f"{path}: camera")
    if "baseline" in content:
        check_pair(left, right, f"{path}: baseline")
    kitti = KittiCalibration(left, right, camera_from_lidar)
    return CameraCalibration(path, kitti, size, "baseline" in content)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file of plain data.

    Raises:
        MissingFileError: If there is no such file.
        InvalidValueError: If it is no YAML.
    """
    try:
        return yaml.safe_load(read_text(path, "calibration"))
    # Of a damaged file, YAML's constructors raise others than its own type; both name the place.
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise InvalidValueError(f"{path}: not a YAML file: {error}") from None


def image_size_of(path: Path, content: dict[str, Any], prefix: str = "") -> tuple[int, int]:
    """(height, width) of a block's ``image_size``."""
    size = content["image_size"]
    if not (isinstance(size, list) and len(size) == 2 and all(type(x) is int for x in size)):
        raise InvalidValueError(
            f"{path}: {prefix}image_size must be [height, width] in pixels, found "
            f"{reprlib.repr(size)}"
        )
    if min(size) <= 0:
        raise InvalidValueError(f"{path}: {prefix}image_size must be positive, found {min(size)}")
    return size[0], size[1]


def pinhole(path: Path, content: dict[str, Any], prefix: str, size: tuple[int, int]) -> np.ndarray:
    """Intrinsics (4, 4) of a block's ``fx``, ``fy``, ``cx``, ``cy``, checked against its size."""
    keys = ("fx", "fy", "cx", "cy")
    fx, fy, cx, cy = (_number(path, f"{prefix}{key}", content[key]) for key in keys)
    for key, value in (("fx", fx), ("fy", fy)):
        if value <= 0:
            raise InvalidValueError(f"{path}: {prefix}{key} must be positive, found {value}")
    matrix = np.eye(4)
    matrix[:2, :3] = [[fx, 0, cx], [0, fy, cy]]
    check_projection(matrix, f"{path}: {', '.join(prefix + key for key in keys)}")
    check_image_size(matrix, size, f"{path}: {prefix}cx, {prefix}cy and {prefix}image_size")
    return matrix


def lidar_from_camera(
    height: float, pitch: float, roll: float = 0, forward: float = CAMERA_FORWARD, left: float = 0
) -> np.ndarray:
    """Pose of the left camera in the voxel frame, (4, 4) float64.

    Args:
        height: Of the camera above the ground, metres.
        pitch: Degrees, positive if the camera looks down.
        roll: Degrees, positive if the camera's right side is lower.
        forward: Distance of the camera ahead of the voxel frame's origin, metres.
        left: Distance of the camera to the left of the vehicle's middle, metres.
    """
    sin_p, cos_p = np.sin(np.radians(pitch)), np.cos(np.radians(pitch))
    sin_r, cos_r = np.sin(np.radians(roll)), np.cos(np.radians(roll))
    # Columns: where the camera's right, down and front point to in x front, y left, z up.
    level = np.array([[0.0, -sin_p, cos_p], [-1.0, 0.0, 0.0], [0.0, -cos_p, -sin_p]])
    turn = np.array([[cos_r, -sin_r, 0.0], [sin_r, cos_r, 0.0], [0.0, 0.0, 1.0]])
    matrix = np.eye(4)
    matrix[:3, :3] = level @ turn
    matrix[:3, 3] = forward, left, height - LIDAR_HEIGHT
    return matrix


def check_keys(
    path: Path, prefix: str, found: Any, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> None:
    """Raises InvalidValueError if a block lacks a required key or has an unknown one."""
    if not isinstance(found, dict):
        raise InvalidValueError(
            f"{path}: {prefix.rstrip('.') or 'the file'} must hold the keys {', '.join(required)}, "
            f"found {reprlib.repr(found)}"
        )

    def names(keys: Iterable[Any]) -> str:
        return ", ".join(f"{prefix}{key}" for key in keys)

    if missing := names(key for key in required if key not in found):
        raise InvalidValueError(
            f"{path}: calibration lacks {missing}; found {names(found) or 'no key'}. "
            "docs/inference.md shows a complete file"
        )
    known = required + optional
    if unknown := [key for key in found if key not in known]:
        likely = closest(set(known) - set(found), str(unknown[0]))
        hint = f"did you mean {prefix}{likely}?" if likely else f"known are {names(known)}"
        raise InvalidValueError(f"{path}: unknown key {names(unknown)}; {hint}")


def _number(path: Path, key: str, value: Any) -> float:
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        raise InvalidValueError(f"{path}: {key} must be a number, found {reprlib.repr(value)}")
    return float(value)
