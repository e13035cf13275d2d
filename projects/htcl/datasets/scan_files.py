"""Lidar scans (``velodyne/*.bin``) of N points, and their labels (``labels/*.label``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from htcl.errors import InvalidValueError
from htcl.files import existing

_POINT_BYTES = 16
_LABEL_BYTES = 4


def read_scan(path: str | Path) -> np.ndarray:
    """Reads a scan, (N, 4) float32: x, y, z in the lidar frame, metres, and remission.

    Raises:
        MissingFileError: If the file is absent.
        InvalidValueError: If its size is not a multiple of 16 bytes, or a coordinate is not finite.
    """
    path = existing(path, "lidar scan")
    found = path.stat().st_size
    if found % _POINT_BYTES:
        raise InvalidValueError(
            f"{path}: lidar scan has {found} bytes, expected a multiple of {_POINT_BYTES} "
            "(4 float32 a point)"
        )
    points = np.fromfile(path, dtype="<f4").reshape(-1, 4)
    # The remission may be anything; but to look at the whole array at once is faster.
    if not (np.isfinite(points).all() or np.isfinite(points[:, :3]).all()):
        raise InvalidValueError(f"{path}: lidar scan holds coordinates that are not finite")
    return points


def read_point_labels(
    path: str | Path, num_points: int, scan_path: str | Path = "the scan"
) -> np.ndarray:
    """Reads the labels of a scan, (N,) uint32: class in the low, instance in the high 16 bits.

    ``num_points`` is N of the scan, ``scan_path`` its file for the error message.

    Raises:
        MissingFileError: If the file is absent.
        InvalidValueError: If it has not one label a point.
    """
    path = existing(path, "point label")
    found = path.stat().st_size
    if found != num_points * _LABEL_BYTES:
        raise InvalidValueError(
            f"{path}: point label file has {found} bytes, expected {num_points * _LABEL_BYTES} "
            f"(one uint32 for each of the {num_points} points of {scan_path})"
        )
    return np.fromfile(path, dtype="<u4")
