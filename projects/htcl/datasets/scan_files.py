"""Lidar scans (``velodyne/*.bin``) of N points, and their labels (``labels/*.label``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from htcl.datasets.plausibility import check_points
from htcl.errors import InvalidValueError
from htcl.files import read_bytes

_FLOAT_BYTES = 4
_LABEL_BYTES = 4


def read_scan(path: str | Path, columns: int = 4) -> np.ndarray:
    """Reads a scan, (N, columns) float32: x, y, z in the lidar frame, metres, and what follows.

    KITTI's points have 4 numbers, with the remission; nuScenes' have 5, with intensity and ring.

    Raises:
        MissingFileError: If the file is absent.
        InvalidValueError: If it is empty, its size is not a multiple of a point's, or coordinates
            are no metres of a lidar (:func:`~htcl.datasets.plausibility.check_points`).
    """
    content = read_bytes(path, "lidar scan")
    if len(content) % (size := columns * _FLOAT_BYTES):
        raise InvalidValueError(
            f"{path}: lidar scan has {len(content)} bytes, expected a multiple of {size} "
            f"({columns} float32 a point); it is cut short or of another format, copy it anew"
        )
    points = np.frombuffer(bytearray(content), dtype="<f4").reshape(-1, columns)
    # What follows the coordinates may be anything.
    check_points(points[:, :3], str(path))
    return points


def read_point_labels(
    path: str | Path, num_points: int, scan_path: str | Path = "the scan"
) -> np.ndarray:
    """Reads the labels of a scan, (N,) uint32: class in the low, instance in the high 16 bits.

    ``num_points`` is N of the scan, ``scan_path`` its file for the error message.

    Raises:
        MissingFileError: If the file is absent.
        InvalidValueError: If it has not one label a point, or all are 0.
    """
    content = read_bytes(path, "point label")
    if len(content) != num_points * _LABEL_BYTES:
        raise InvalidValueError(
            f"{path}: point label file has {len(content)} bytes, expected "
            f"{num_points * _LABEL_BYTES} (one uint32 for each of the {num_points} points of "
            f"{scan_path}); one of the two is cut short or of another frame, copy both anew"
        )
    labels = np.frombuffer(bytearray(content), dtype="<u4")
    if not labels.any():
        raise InvalidValueError(
            f"{path}: all {len(labels)} point labels are 0, as in a file whose content was lost; "
            "copy it anew, or leave out this frame if nobody labelled it"
        )
    return labels
