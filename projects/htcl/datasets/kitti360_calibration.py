"""Calibration and poses of KITTI-360.

Frames: lidar is x front, y left, z up; camera is x right, y down, z front; metres. A matrix named
``a_from_b`` takes a homogeneous point in frame b to frame a. Shape letter: T frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from htcl.datasets.calibration import to_matrix
from htcl.datasets.plausibility import check_rigid
from htcl.errors import InvalidValueError
from htcl.files import atomic_write, read_text

# What the files of the data set say; all its drives were recorded with one rig. For copies without
# the folder calibration/.
_FOCAL, _CENTRE, _RIGHT_OFFSET = 552.554261, (682.049453, 238.769549), -328.318735
_LEFT = (_FOCAL, 0.0, _CENTRE[0], 0.0, 0.0, _FOCAL, _CENTRE[1], 0.0, 0.0, 0.0, 1.0, 0.0)
_LIDAR_FROM_CAMERA = (
    0.04307104361, -0.08829286498, 0.995162929, 0.8043914418,
    -0.999004371, 0.007784614041, 0.04392796942, 0.2993489574,
    -0.01162548558, -0.9960641394, -0.08786966659, -0.1770225824,
)  # fmt: skip
_PERSPECTIVE, _TO_LIDAR, _TO_IMU = (
    "perspective.txt", "calib_cam_to_velo.txt", "calib_cam_to_pose.txt",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Kitti360Calibration:
    """Calibration of the perspective cameras.

    Attributes:
        left, right: (4, 4) projections of the rectified cameras: point of rectified camera 0 ->
            homogeneous pixel; fourth row (0, 0, 0, 1).
        lidar_from_camera: (4, 4), of camera 0 before rectification.
        rectified_from_camera: (4, 4) rotation of camera 0, None if it is not known.
        imu_from_camera: (4, 4), of camera 0 before rectification, None if it is not known.
        missing: Files in whose place constants stand.
    """

    left: np.ndarray
    right: np.ndarray
    lidar_from_camera: np.ndarray
    rectified_from_camera: np.ndarray | None = None
    imu_from_camera: np.ndarray | None = None
    missing: tuple[Path, ...] = ()

    @classmethod
    def from_folder(cls, folder: Path) -> Kitti360Calibration:
        """Reads the folder ``calibration``; constants stand for projections and lidar not there.

        Raises:
            InvalidValueError: If a file lacks a key or holds no sound calibration.
        """
        paths = {name: folder / name for name in (_PERSPECTIVE, _TO_LIDAR, _TO_IMU)}
        missing = tuple(path for path in paths.values() if not path.is_file())
        left, right = to_matrix([str(x) for x in _LEFT], "left"), None
        rotation = imu = None
        if (path := paths[_PERSPECTIVE]) not in missing:
            lines = _keyed(path, ("P_rect_00", "P_rect_01", "R_rect_00"))
            left = to_matrix(lines["P_rect_00"], f"{path}: P_rect_00")
            right = to_matrix(lines["P_rect_01"], f"{path}: P_rect_01")
            for name, matrix in (("P_rect_00", left), ("P_rect_01", right)):
                if min(matrix[0, 0], matrix[1, 1]) <= 0:
                    raise InvalidValueError(
                        f"{path}: {name}: focal lengths must be positive, found {matrix[0, 0]} "
                        f"and {matrix[1, 1]}"
                    )
            rotation = _rotation(lines["R_rect_00"], f"{path}: R_rect_00")
        if right is None:
            right = left.copy()
            right[0, 3] = _RIGHT_OFFSET
        lidar = [str(x) for x in _LIDAR_FROM_CAMERA]
        if (path := paths[_TO_LIDAR]) not in missing:
            lidar = " ".join(read_text(path, "calibration").splitlines()).split()
        lidar_from_camera = to_matrix(lidar, str(path))
        check_rigid(lidar_from_camera, str(path))
        if (path := paths[_TO_IMU]) not in missing:
            imu = to_matrix(_keyed(path, ("image_00",))["image_00"], f"{path}: image_00")
            check_rigid(imu, f"{path}: image_00")
        return cls(left, right, lidar_from_camera, rotation, imu, missing)

    @property
    def focal_baseline(self) -> float:
        """Focal length times baseline, pixel metres: disparity = this / depth."""
        return float(self.left[0, 3] - self.right[0, 3])

    def lidar_from_rectified(self, exact: bool) -> np.ndarray:
        """(4, 4), from the frame that the images are in.

        Args:
            exact: With the rotation of the rectification. Programs of the field do without, as if
                the file were of the rectified camera.

        Raises:
            InvalidValueError: If ``exact`` and the rotation is not known.
        """
        if not exact:
            return self.lidar_from_camera
        if self.rectified_from_camera is None:
            raise InvalidValueError(
                f"camera_frame='rectified' takes R_rect_00 from {self.missing[0]}, which is not "
                "there: copy it from KITTI-360's calibration download, or take 'field'"
            )
        return self.lidar_from_camera @ np.linalg.inv(self.rectified_from_camera)

    def camera_poses(self, imu_poses: np.ndarray, source: Path) -> np.ndarray:
        """Turns (T, 4, 4) ``world_from_imu`` into ``world_from_camera`` of rectified camera 0.

        ``source`` is the file of the poses, for the message.

        Raises:
            InvalidValueError: If the calibration of IMU or rectification is not known.
        """
        if self.imu_from_camera is None or self.rectified_from_camera is None:
            raise InvalidValueError(
                f"{source}: poses of the IMU take {' and '.join(map(str, self.missing))}, which "
                "are not there: copy KITTI-360's calibration download there, or its "
                "cam0_to_world.txt beside the poses"
            )
        camera_from_rectified = np.linalg.inv(self.rectified_from_camera)
        return imu_poses @ self.imu_from_camera @ camera_from_rectified


def read_numbered_poses(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads poses with a frame number before each: 3 x 4 or 4 x 4 numbers a line.

    Returns:
        The numbers (T,) int64, rising, and the poses (T, 4, 4) float64.

    Raises:
        MissingFileError: If there is no such file.
        InvalidValueError: If it is empty or a line is no number and rigid pose; it is named.
    """
    numbers: list[int] = []
    poses = []
    for row, line in enumerate(read_text(path, "pose").splitlines(), start=1):
        words, where = line.split(), f"{path}: line {row}"
        if not words:
            continue
        if len(words) not in (13, 17) or not words[0].isdecimal():
            raise InvalidValueError(
                f"{where}: {len(words)} values, expected a frame number and 12 or 16 numbers (a "
                "3x4 or 4x4 pose), as in KITTI-360's poses.txt and cam0_to_world.txt"
            )
        pose = to_matrix(words[1:13], where)
        check_rigid(pose, where)
        if numbers and int(words[0]) <= numbers[-1]:
            raise InvalidValueError(
                f"{where}: frame number {words[0]} after {numbers[-1]}; they must rise"
            )
        numbers.append(int(words[0]))
        poses.append(pose)
    if not poses:
        raise InvalidValueError(f"{path}: no pose in the file")
    return np.array(numbers), np.stack(poses)


def write_numbered_poses(path: str | Path, poses: np.ndarray) -> None:
    """Writes poses (T, 4, 4) of the frames 0, 1, ... in the form of ``cam0_to_world.txt``."""
    with atomic_write(path, "w") as file:
        for number, pose in enumerate(poses):
            file.write(f"{number} {' '.join(f'{value:.12e}' for value in pose.ravel())}\n")


def _keyed(path: Path, keys: tuple[str, ...]) -> dict[str, list[str]]:
    """The words of lines ``key: words``; InvalidValueError if a key is missing."""
    lines = {}
    for line in read_text(path, "calibration").splitlines():
        key, colon, rest = line.partition(":")
        if colon:
            lines[key.strip()] = rest.split()
    if absent := [key for key in keys if key not in lines]:
        raise InvalidValueError(
            f"{path}: calibration lacks {', '.join(absent)}; found {', '.join(lines) or 'no key'}. "
            "Use the file of KITTI-360's calibration download"
        )
    return lines


def _rotation(values: list[str], where: str) -> np.ndarray:
    """(4, 4) of nine numbers."""
    if len(values) != 9:
        raise InvalidValueError(f"{where}: {len(values)} values, expected 9 (a 3x3 matrix)")
    rows = [word for row in range(3) for word in (*values[3 * row : 3 * row + 3], "0")]
    matrix = to_matrix(rows, where)
    check_rigid(matrix, where)
    return matrix
