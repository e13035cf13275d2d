"""KITTI odometry calibration and poses.

Frames: lidar is x front, y left, z up; camera is x right, y down, z front (rectified camera 0);
metres. A matrix named ``a_from_b`` takes a homogeneous point in frame b to frame a. Pixels: the
centre of the top-left pixel is (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from htcl.errors import InvalidValueError
from htcl.files import existing

_KEYS = ("P0", "P1", "P2", "P3", "Tr")
# Networks calculate in 32 bits.
_LARGEST = float(np.finfo(np.float32).max)


def read_lines(path: str | Path, what: str) -> list[str]:
    """Reads a text file, as any editor saves it: with or without a byte order mark, CRLF or LF."""
    try:
        return existing(path, what).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidValueError(f"{path}: {what} file is no text: {error}") from None


def to_matrix(values: list[str], where: str) -> np.ndarray:
    """Makes a (4, 4) float64 matrix of the 12 numbers of its first three rows."""
    if len(values) != 12:
        raise InvalidValueError(f"{where}: {len(values)} values, expected 12 (a 3x4 matrix)")
    try:
        rows = np.array([float(value) for value in values]).reshape(3, 4)
    except ValueError as error:
        raise InvalidValueError(f"{where}: not a number: {error}") from None
    if not (np.abs(rows) <= _LARGEST).all():
        raise InvalidValueError(
            f"{where}: values must be finite and fit into 32 bits, found {' '.join(values)}"
        )
    return np.vstack([rows, (0.0, 0.0, 0.0, 1.0)])


def check_rigid(matrix: np.ndarray, where: str) -> None:
    """Raises InvalidValueError if the 3x3 part of a matrix is no rotation; ``where`` names it."""
    rotation = matrix[:3, :3]
    error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    # Files carry six or more digits; 1e-3 passes every real file and refuses mixed-up rows.
    if error > 1e-3 or np.linalg.det(rotation) < 0:
        raise InvalidValueError(
            f"{where}: the 3x3 part is not a rotation (deviation {error:.3g}); "
            "expected a rigid 3x4 transform"
        )


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
        for line in read_lines(path, "calibration"):
            key, colon, rest = line.partition(":")
            if colon:
                lines[key.strip()] = rest.split()
        missing = [key for key in _KEYS if key not in lines]
        if missing:
            raise InvalidValueError(
                f"{path}: calibration lacks {', '.join(missing)}; "
                f"found {', '.join(lines) or 'no key'}. "
                "Use calib.txt of the KITTI odometry calibration download (it holds P0-P3 and Tr)."
            )
        matrices = {key: to_matrix(lines[key], f"{path}: {key}") for key in _KEYS}
        for key in _KEYS[:4]:
            if not (np.float32(np.diag(matrices[key])[:2]) > 0).all():
                raise InvalidValueError(
                    f"{path}: {key}: focal lengths must be positive, "
                    f"found {matrices[key][0, 0]} and {matrices[key][1, 1]}"
                )
        check_rigid(matrices["Tr"], f"{path}: Tr")
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
        InvalidValueError: If it is empty, or a line is no rigid 3x4 matrix; the line is named.
    """
    poses = []
    for number, line in enumerate(read_lines(path, "pose"), start=1):
        if line.strip():
            pose = to_matrix(line.split(), f"{path}: line {number}")
            check_rigid(pose, f"{path}: line {number}")
            poses.append(pose)
    if not poses:
        raise InvalidValueError(
            f"{path}: no pose in the file, expected one line of 12 numbers a frame"
        )
    return np.stack(poses)


def lidar_poses(camera_poses: np.ndarray, calibration: KittiCalibration) -> np.ndarray:
    """Turns (N, 4, 4) ``world_from_camera`` of :func:`read_poses` into ``world_from_lidar``.

    This is ``inv(Tr) P Tr``, float64; the world is the lidar frame of frame 0.
    """
    return calibration.lidar_from_camera @ camera_poses @ calibration.camera_from_lidar
