"""Voxel files of SemanticKITTI and SSCBench-KITTI-360: ``.label``, and masks.

Shape letters: X front, Y left, Z up (voxels). All files are flat arrays in C order of (X, Y, Z). A
``.label`` file holds one little-endian uint16 raw id a voxel; a mask file (``.bin``, ``.invalid``,
``.occluded``) holds one bit a voxel, most significant bit first, or, in KITTI-360, one byte.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.errors import InvalidValueError
from htcl.files import atomic_write, read_bytes

GRID_SIZE = SEMANTICKITTI.stored_grid.shape


def _read(path: str | Path, dtype: str, expected_bytes: tuple[int, ...], what: str) -> np.ndarray:
    content = read_bytes(path, what)
    if len(content) not in expected_bytes:
        sizes = " or ".join(map(str, expected_bytes))
        raise InvalidValueError(
            f"{path}: {what} file has {len(content)} bytes, expected {sizes}; "
            "it is damaged, cut short, or of another grid size: copy it anew"
        )
    return np.frombuffer(bytearray(content), dtype=dtype)


def read_voxel_labels(path: str | Path, grid_size: tuple[int, int, int] = GRID_SIZE) -> np.ndarray:
    """Reads the (X, Y, Z) uint16 raw ids of a ``.label`` file.

    Raises:
        MissingFileError: If the file is absent.
        InvalidValueError: If its size does not fit the grid.
    """
    flat = _read(path, "<u2", (2 * math.prod(grid_size),), "voxel label")
    return flat.astype(np.uint16, copy=False).reshape(grid_size)


def write_voxel_labels(path: str | Path, labels: np.ndarray) -> None:
    """Writes (X, Y, Z) uint16 raw ids (else ValueError) as a ``.label`` file, atomically."""
    if labels.ndim != 3 or labels.dtype != np.uint16:
        raise ValueError(
            f"{path}: voxel labels must be a uint16 array (X, Y, Z), "
            f"found {labels.dtype} {labels.shape}"
        )
    with atomic_write(path) as file:
        file.write(np.ascontiguousarray(labels, dtype="<u2").tobytes())


def read_voxel_mask(path: str | Path, grid_size: tuple[int, int, int] = GRID_SIZE) -> np.ndarray:
    """Reads the (X, Y, Z) bool of a mask file, a bit or a byte a voxel, as its size says.

    Raises what :func:`read_voxel_labels` raises; also InvalidValueError if a byte is not 0 or 1.
    """
    voxels = math.prod(grid_size)
    flat = _read(path, "u1", (voxels // 8, voxels), "voxel mask")
    if len(flat) < voxels:
        return np.unpackbits(flat).view(bool).reshape(grid_size)
    if flat.max(initial=0) > 1:
        raise InvalidValueError(
            f"{path}: a voxel mask of one byte a voxel holds {flat.max()}, expected 0 and 1"
        )
    return flat.view(bool).reshape(grid_size)


def write_voxel_mask(path: str | Path, mask: np.ndarray, packed: bool = True) -> None:
    """Writes (X, Y, Z) bool of 8 n voxels (else ValueError) as a mask file, atomically.

    Not ``packed``, it has one byte a voxel, as KITTI-360's files.
    """
    if mask.ndim != 3 or mask.dtype != np.bool_ or mask.size % 8:
        raise ValueError(
            f"{path}: a voxel mask must be a bool array (X, Y, Z) with a multiple of 8 voxels, "
            f"found {mask.dtype} {mask.shape}"
        )
    with atomic_write(path) as file:
        file.write((np.packbits(mask.reshape(-1)) if packed else mask).tobytes())
