"""Moments of a nuScenes drive: what its six cameras and its lidar saw, and from where.

Frames: the sensor's own, the ego vehicle's (x front, y left, z up, on the ground below the rear
axle), the lidar's (x right, y front, z up) and the world's. Each sensor fires at its own time, and
the car moves meanwhile, so a pose belongs to a reading and not to the moment. The height of all
poses is 0: hills are not in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from htcl.datasets.plausibility import check_rigid
from htcl.errors import InvalidValueError

# In the order that the benchmarks' own code has them in.
CAMERAS = (
    "CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK",
    "CAM_BACK_RIGHT",
)  # fmt: skip
LIDAR = "LIDAR_TOP"
# Numbers of a point in a scan file: x, y, z, intensity and ring.
LIDAR_COLUMNS = 5
MICROSECONDS = 1e-6
_UNIT = 1e-3


@dataclass(frozen=True, eq=False)
class Reading:
    """A picture or a scan.

    Attributes:
        token: Its name in the tables.
        file: Its file below the data root.
        time: Seconds.
        world_from_sensor: (4, 4) float64 at that time.
        intrinsics: (4, 4) float64 of a camera, None for a lidar.
    """

    token: str
    file: str
    time: float
    world_from_sensor: np.ndarray
    intrinsics: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Moment:
    """What all sensors saw about the same time.

    Attributes:
        token: Of the sample, or, between two of them, of the picture of the camera in front.
        time: Seconds.
        scene: Name of the scene, or its token where no name is known.
        scene_token: Its token, None if that is not known.
        cameras: Readings of the cameras by name.
        lidar: Scan of a key frame, else None.
        world_from_ego: (4, 4) float64 of the lidar's time, in a key frame.
    """

    token: str
    time: float
    scene: str
    scene_token: str | None
    cameras: Mapping[str, Reading]
    lidar: Reading | None = None
    world_from_ego: np.ndarray | None = None


def rigid_transform(translation: Any, quaternion: Any, where: str) -> np.ndarray:
    """The (4, 4) float64 of a translation in metres and a quaternion (w, x, y, z).

    Raises:
        InvalidValueError: If they are no three and four finite numbers, or not of length 1.
    """
    shift, turn = _numbers(translation, 3), _numbers(quaternion, 4)
    # Not a number is in no range.
    if shift is None or turn is None or not abs(float(np.linalg.norm(turn)) - 1) < _UNIT:
        raise InvalidValueError(
            f"{where}: translation {translation!r} and rotation {quaternion!r}, expected three "
            "metres and a quaternion w, x, y, z of length 1; copy the file anew"
        )
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(turn, scalar_first=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def _numbers(values: Any, count: int) -> np.ndarray | None:
    """``count`` finite numbers, None if they are something else."""
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return found if found.shape == (count,) and np.isfinite(found).all() else None


def homogeneous_intrinsics(matrix: Any, where: str) -> np.ndarray:
    """The (4, 4) float64 of a camera's 3 x 3 intrinsics; InvalidValueError if they are none."""
    result = np.eye(4)
    try:
        result[:3, :3] = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidValueError(
            f"{where}: camera_intrinsic is {matrix!r}, expected 3 x 3 numbers of a camera; copy "
            "the file anew"
        ) from None
    return result


def rigid_matrix(matrix: Any, where: str) -> np.ndarray:
    """A stored (4, 4) motion as float64; InvalidValueError if it is none."""
    try:
        result = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidValueError(f"{where}: {matrix!r}, expected a 4 x 4 matrix") from None
    check_rigid(result, where)
    return result
