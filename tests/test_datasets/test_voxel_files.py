from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from htcl.datasets.voxel_files import (
    read_voxel_labels,
    read_voxel_mask,
    write_voxel_labels,
    write_voxel_mask,
)
from htcl.errors import InvalidValueError, MissingFileError

SMALL = (4, 2, 3)


def test_label_bytes_are_little_endian_in_c_order(tmp_path: Path):
    labels = np.arange(24, dtype=np.uint16).reshape(SMALL) + 0x0100
    path = tmp_path / "a.label"
    write_voxel_labels(path, labels)
    assert path.read_bytes()[:4] == b"\x00\x01\x01\x01"
    np.testing.assert_array_equal(read_voxel_labels(path, SMALL), labels)


def test_mask_bits_are_most_significant_first(tmp_path: Path):
    mask = np.zeros(SMALL, dtype=bool)
    mask[0, 0, 0] = mask[0, 1, 2] = mask[3, 1, 2] = True
    path = tmp_path / "a.bin"
    write_voxel_mask(path, mask)
    # Flat indices 0, 5 and 23.
    assert path.read_bytes() == bytes([0b10000100, 0, 0b00000001])
    np.testing.assert_array_equal(read_voxel_mask(path, SMALL), mask)


def test_official_sizes(kitti_tree: Path):
    folder = kitti_tree / "sequences/00/voxels"
    assert (folder / "000000.label").stat().st_size == 4_194_304
    assert (folder / "000000.bin").stat().st_size == 262_144
    assert read_voxel_labels(folder / "000000.label")[60, 140, 5] == 10
    assert read_voxel_mask(folder / "000000.invalid")[0, 0, 0]


@pytest.mark.parametrize("reader", [read_voxel_labels, read_voxel_mask])
def test_wrong_size_and_absence_name_the_file(tmp_path: Path, reader):
    path = tmp_path / "000007.xyz"
    with pytest.raises(MissingFileError, match=r"000007\.xyz"):
        reader(path)
    path.write_bytes(b"1234")
    with pytest.raises(InvalidValueError, match=r"000007\.xyz.*4 bytes, expected"):
        reader(path)


def test_writers_refuse_other_types(tmp_path: Path):
    with pytest.raises(ValueError, match="uint16"):
        write_voxel_labels(tmp_path / "a.label", np.zeros(SMALL, dtype=np.uint8))
    with pytest.raises(ValueError, match="bool"):
        write_voxel_mask(tmp_path / "a.bin", np.zeros(SMALL, dtype=np.uint8))
    assert not list(tmp_path.iterdir())


def test_masks_of_a_byte_a_voxel_are_told_by_their_size(tmp_path: Path):
    mask = np.zeros(SMALL, dtype=bool)
    mask[0, 0, 0] = mask[0, 1, 2] = True
    path = tmp_path / "a.invalid"
    write_voxel_mask(path, mask, packed=False)
    assert path.read_bytes() == bytes([1, 0, 0, 0, 0, 1, *[0] * 18])
    np.testing.assert_array_equal(read_voxel_mask(path, SMALL), mask)
