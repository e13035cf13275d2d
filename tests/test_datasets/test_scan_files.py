from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from htcl.datasets.scan_files import read_point_labels, read_scan
from htcl.errors import InvalidValueError, MissingFileError


def test_scan_and_labels(kitti_tree: Path):
    points = read_scan(kitti_tree / "sequences/00/velodyne/000003.bin")
    labels = read_point_labels(
        kitti_tree / "sequences/00/labels/000003.label", len(points), "000003.bin"
    )
    assert points.shape == (2600, 4) and points.dtype == np.float32
    assert (labels & 0xFFFF).max() == 50 and (labels >> 16).max() == 7


def test_damaged_files_are_named(tmp_path: Path):
    path = tmp_path / "000001.bin"
    with pytest.raises(MissingFileError, match=r"000001\.bin: lidar scan"):
        read_scan(path)
    path.write_bytes(bytes(33))
    with pytest.raises(
        InvalidValueError, match=r"000001\.bin.*33 bytes, expected a multiple of 16"
    ):
        read_scan(path)
    np.full((2, 4), np.nan, dtype=np.float32).tofile(path)
    with pytest.raises(InvalidValueError, match=r"000001\.bin.*not finite"):
        read_scan(path)
    with pytest.raises(
        InvalidValueError, match=r"000001\.bin.*32 bytes, expected 12.*3 points of s\.bin"
    ):
        read_point_labels(path, 3, "s.bin")
