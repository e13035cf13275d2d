"""KITTI odometry calibration and poses.

Frames: lidar is x front, y left, z up; camera is x right, y down, z front (rectified camera 0);
metres. A matrix named ``a_from_b`` takes a homogeneous point in frame b to frame a. Pixels: the
centre of the top-left pixel is (0, 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from htcl.datasets.plausibility import (
    check_mounting,
    check_numbers,
    check_pair,
    check_projection,
    check_rigid,
    check_track,
)
from htcl.errors import InvalidValueError
from htcl.files import read_text

_KEYS = ("P0", "P1", "P2", "P3", "Tr")


def _to_numbers(words: Sequence[str], where: str) -> np.ndarray:
    """Finite float64 of the words of a line."""
    try:
        values = np.array([float(word) for word in words])
    except ValueError as error:
        comma = " (a decimal point is expected, not a comma)" if "," in "".join(words) else ""
        raise InvalidValueError(f"{where}: not a number: {error}{comma}") from None
    check_numbers(values, where)
    return values


def to_matrix(words: Sequence[str], where: str) -> np.ndarray:
    """Makes a (4, 4) float64 matrix of the 12 numbers of its first three rows."""
    if len(words) != 12:
        raise InvalidValueError(
            f"{where}: {len(words)} values, expected 12 (a 3x4 matrix); the line is cut or joined "
            "with another: copy the file anew"
        )
    rows = _to_numbers(words, where).reshape(3, 4)
    return np.vstack([rows, (0.0, 0.0, 0.0, 1.0)])


@dataclass(frozen=True, eq=False)
class KittiCalibration:
    """Calibration of one odometry sequence.

    Attributes:
        p2, p3: (4, 4) projections of the left and right colour camera: rectified camera-0 point ->
            homogeneous pixel; fourth row (0, 0, 0, 1).
        camera_from_lidar: (4, 4) rigid transform, called ``Tr`` in the file.
    """

    p2: np.ndarray
    p3: np.ndarray
    camera_from_lidar: np.ndarray

    @classmethod
    def from_file(cls, path: str | Path) -> KittiCalibration:
        """Reads ``calib.txt``: lines ``P0: 12 numbers`` to ``P3:`` and ``Tr:``, others ignored.

        Raises:
            MissingFileError: If the file is absent.
            InvalidValueError: If a key is missing, or a line has the wrong number of values, or is
                no sound calibration.
        """
        lines: dict[str, list[str]] = {}
        for line in read_text(path, "calibration").splitlines():
            key, colon, rest = line.partition(":")
            if colon and key.strip() in lines:
                raise InvalidValueError(
                    f"{path}: calibration has two lines {key.strip()}, expected one of each; "
                    "remove the wrong one"
                )
            if colon:
                lines[key.strip()] = rest.split()
        missing = [key for key in _KEYS if key not in lines]
        if missing:
            raise InvalidValueError(
                f"{path}: calibration lacks {', '.join(missing)}; "
                f"found {', '.join(lines) or 'no key'}. "
                "Use calib.txt of the KITTI odometry calibration download "
                "(data_odometry_calib.zip, 1 MB): it holds P0-P3 and Tr. Files with P0-P3 alone "
                "come with other downloads."
            )
        matrices = {key: to_matrix(lines[key], f"{path}: {key}") for key in _KEYS}
        for key in _KEYS[:4]:
            check_projection(matrices[key], f"{path}: {key}")
        check_rigid(matrices["Tr"], f"{path}: Tr")
        check_mounting(np.linalg.inv(matrices["Tr"]), f"{path}: Tr")
        check_pair(matrices["P2"], matrices["P3"], f"{path}: P2 and P3")
        return cls(matrices["P2"], matrices["P3"], matrices["Tr"])

    @property
    def lidar_from_camera(self) -> np.ndarray:
        """(4, 4) inverse of ``Tr``."""
        return np.linalg.inv(self.camera_from_lidar)

    @property
    def focal_baseline(self) -> float:
        """Focal length times colour baseline, pixel metres: disparity = this / depth."""
        return float(self.p2[0, 3] - self.p3[0, 3])


def read_poses(path: str | Path) -> np.ndarray:
    """Reads ``poses.txt``: a line for each pose of camera 0 in the world of frame 0.

    Returns:
        (N, 4, 4) float64 ``world_from_camera``.

    Raises:
        MissingFileError: If the file is absent.
        InvalidValueError: If it is empty, or a line is no rigid 3x4 matrix or far from the one
            before it; the line is named.
    """
    poses: list[np.ndarray] = []
    for number, line in enumerate(read_text(path, "pose").splitlines(), start=1):
        if not line.strip():
            continue
        if len(poses) < number - 1:
            raise InvalidValueError(
                f"{path}: line {number} comes after an empty line, expected line n to be the pose "
                "of frame n - 1; copy the file anew"
            )
        pose = to_matrix(line.split(), f"{path}: line {number}")
        check_rigid(pose, f"{path}: line {number}")
        poses.append(pose)
    if not poses:
        raise InvalidValueError(
            f"{path}: no pose in the file, expected one line of 12 numbers a frame"
        )
    check_track(poses, str(path))
    return np.stack(poses)


def read_times(path: str | Path) -> np.ndarray:
    """Reads ``times.txt``: a line for each frame, (N,) float64 seconds.

    Raises:
        MissingFileError: If the file is absent.
        InvalidValueError: If it is empty, a line is no number, or the times do not rise.
    """
    words = read_text(path, "time").split()
    times = _to_numbers(words, str(path))
    if not len(times):
        raise InvalidValueError(f"{path}: no time in the file, expected one number a frame")
    back = np.flatnonzero(np.diff(times) <= 0)
    if back.size:
        line = int(back[0]) + 1
        raise InvalidValueError(
            f"{path}: the time of line {line + 1}, {times[line]:g} s, does not come after that of "
            f"line {line}, {times[line - 1]:g} s; lines are exchanged or damaged: copy the file "
            "anew"
        )
    return times


def check_count(poses: np.ndarray, poses_path: str | Path, times_path: str | Path) -> None:
    """Raises InvalidValueError if there is not one pose for each line of ``times.txt``."""
    times = read_times(times_path)
    if len(times) != len(poses):
        raise InvalidValueError(
            f"{poses_path}: {len(poses)} poses, but {times_path} has {len(times)} times; expected "
            "one each for a frame. A missing line shifts all poses after it: copy both files anew"
        )


def lidar_poses(camera_poses: np.ndarray, calibration: KittiCalibration) -> np.ndarray:
    """Turns (N, 4, 4) ``world_from_camera`` of :func:`read_poses` into ``world_from_lidar``.

    This is ``inv(Tr) P Tr``, float64; the world is the lidar frame of frame 0.
    """
    return calibration.lidar_from_camera @ camera_poses @ calibration.camera_from_lidar
