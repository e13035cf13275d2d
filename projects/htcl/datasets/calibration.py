"""KITTI odometry calibration and poses.

Frames: lidar is x front, y left, z up; camera is x right, y down, z front (rectified camera 0);
metres. A matrix named ``a_from_b`` takes a homogeneous point in frame b to frame a. Pixels: the
centre of the top-left pixel is (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

_KEYS = ("P0", "P1", "P2", "P3", "Tr")
_VALUES = 12


def _to_matrix(values: list[str], where: str) -> np.ndarray:
    """Makes a (4, 4) float64 matrix of the 12 numbers of its first three rows."""
    if len(values) != _VALUES:
        raise ValueError(f"{where}: {len(values)} values, expected {_VALUES} (a 3x4 matrix)")
    try:
        rows = np.array([float(value) for value in values]).reshape(3, 4)
    except ValueError as error:
        raise ValueError(f"{where}: not a number: {error}") from None
    if not np.isfinite(rows).all():
        raise ValueError(f"{where}: values must be finite, found {' '.join(values)}")
    return np.vstack([rows, (0.0, 0.0, 0.0, 1.0)])


def _check_rigid(matrix: np.ndarray, where: str) -> None:
    rotation = matrix[:3, :3]
    error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    # Files carry six or more digits; 1e-3 passes every real file and refuses mixed-up rows.
    if error > 1e-3 or np.linalg.det(rotation) < 0:
        raise ValueError(
            f"{where}: the 3x3 part is not a rotation (deviation {error:.3g}); "
            "expected a rigid 3x4 transform"
        )


@dataclass(frozen=True, eq=False)
class KittiCalibration:
    """Calibration of one odometry sequence.

    Attributes:
        p0: (4, 4) projection of the left grey camera: rectified camera-0 point -> homogeneous
            pixel; fourth row (0, 0, 0, 1).
        p1: The same for the right grey camera.
        p2: The same for the left colour camera.
        p3: The same for the right colour camera.
        camera_from_lidar: (4, 4) rigid transform, called ``Tr`` in the file.
    """

    p0: np.ndarray
    p1: np.ndarray
    p2: np.ndarray
    p3: np.ndarray
    camera_from_lidar: np.ndarray

    @classmethod
    def from_file(cls, path: str | Path) -> KittiCalibration:
        """Reads ``calib.txt``.

        Args:
            path: The file: lines ``P0: 12 numbers`` to ``P3:`` and ``Tr:``. Further keys are
                ignored.

        Raises:
            FileNotFoundError: If the file is absent.
            KeyError: If a key is missing.
            ValueError: If a line has the wrong number of values, or is no sound calibration.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: calibration file not found")
        lines: dict[str, list[str]] = {}
        for line in path.read_text().splitlines():
            key, colon, rest = line.partition(":")
            if colon:
                lines[key.strip()] = rest.split()
        missing = [key for key in _KEYS if key not in lines]
        if missing:
            raise KeyError(
                f"{path}: calibration lacks {', '.join(missing)}; "
                f"found {', '.join(lines) or 'no key'}. "
                "Use calib.txt of the KITTI odometry calibration download (it holds P0-P3 and Tr)."
            )
        matrices = {key: _to_matrix(lines[key], f"{path}: {key}") for key in _KEYS}
        for key in _KEYS[:4]:
            if matrices[key][0, 0] <= 0 or matrices[key][1, 1] <= 0:
                raise ValueError(
                    f"{path}: {key}: focal lengths must be positive, "
                    f"found {matrices[key][0, 0]} and {matrices[key][1, 1]}"
                )
        _check_rigid(matrices["Tr"], f"{path}: Tr")
        return cls(*(matrices[key] for key in _KEYS))

    @property
    def lidar_from_camera(self) -> np.ndarray:
        """(4, 4) inverse of ``Tr``."""
        return np.linalg.inv(self.camera_from_lidar)

    @property
    def intrinsics_left(self) -> np.ndarray:
        """(4, 4) P2: the left colour camera, original pixels, fourth column kept."""
        return self.p2

    @property
    def intrinsics_right(self) -> np.ndarray:
        """(4, 4) P3: the right colour camera, original pixels, fourth column kept."""
        return self.p3

    @property
    def focal_baseline(self) -> float:
        """Focal length times colour baseline, pixel metres: disparity = this / depth."""
        return float(self.p2[0, 3] - self.p3[0, 3])

    @property
    def left_pixel_from_lidar(self) -> np.ndarray:
        """(4, 4) lidar point -> homogeneous pixel (u*d, v*d, d, 1) of the left colour image."""
        return self.p2 @ self.camera_from_lidar


def read_poses(path: str | Path) -> np.ndarray:
    """Reads ``poses.txt``: one pose of camera 0 in the world of frame 0 a line.

    Args:
        path: The file.

    Returns:
        (N, 4, 4) float64 ``world_from_camera``.

    Raises:
        FileNotFoundError: If the file is absent.
        ValueError: If it is empty, or a line is no rigid 3x4 matrix; the line is named.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: pose file not found")
    poses = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if line.strip():
            pose = _to_matrix(line.split(), f"{path}: line {number}")
            _check_rigid(pose, f"{path}: line {number}")
            poses.append(pose)
    if not poses:
        raise ValueError(f"{path}: no pose in the file, expected one line of 12 numbers a frame")
    return np.stack(poses)


def lidar_poses(camera_poses: np.ndarray, calibration: KittiCalibration) -> np.ndarray:
    """Turns camera poses into lidar poses: ``inv(Tr) P Tr``.

    Args:
        camera_poses: (N, 4, 4) ``world_from_camera`` as :func:`read_poses` gives them.
        calibration: Calibration of the sequence.

    Returns:
        (N, 4, 4) float64 ``world_from_lidar``; the world is the lidar frame of frame 0.
    """
    return calibration.lidar_from_camera @ camera_poses @ calibration.camera_from_lidar


def relative_motion(camera_poses: np.ndarray, current: int, frames: list[int]) -> np.ndarray:
    """Motion from each of some frames to the current one.

    Args:
        camera_poses: (N, 4, 4) ``world_from_camera``.
        current: Index of the current frame.
        frames: T frame indices.

    Returns:
        (T, 4, 4) float64 ``current_from_frame``: a static point in camera-0 coordinates at a frame
        -> at the current frame.
    """
    return np.linalg.inv(camera_poses[current]) @ camera_poses[list(frames)]
