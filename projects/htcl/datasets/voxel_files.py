"""SemanticKITTI voxel files: ``.label``, and the bit-packed ``.bin``, ``.invalid``, ``.occluded``.

Shape letters: X front, Y left, Z up (voxels). All files are flat arrays in C order of (X, Y, Z). A
``.label`` file holds one little-endian uint16 raw id a voxel; a mask file holds one bit a voxel,
most significant bit first.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

GRID_SIZE = (256, 256, 32)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a temporary file that takes the place of ``path`` if the block ends without error.

    Readers and interrupted runs therefore never meet half a file. The folder is made if needed.

    Args:
        path: The file to write.

    Yields:
        A binary file object.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        # mkstemp makes private files; data files get the usual rights.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _read(path: Path, dtype: str, expected_bytes: int, what: str) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {what} file not found")
    found = path.stat().st_size
    if found != expected_bytes:
        raise ValueError(
            f"{path}: {what} file has {found} bytes, expected {expected_bytes}; "
            "it is damaged, cut short, or of another grid size"
        )
    return np.fromfile(path, dtype=dtype)


def read_voxel_labels(path: str | Path, grid_size: tuple[int, int, int] = GRID_SIZE) -> np.ndarray:
    """Reads a ``.label`` file.

    Args:
        path: The file.
        grid_size: Number of voxels along (X, Y, Z).

    Returns:
        (X, Y, Z) uint16 raw ids.

    Raises:
        FileNotFoundError: If the file is absent.
        ValueError: If its size does not fit the grid.
    """
    flat = _read(Path(path), "<u2", 2 * math.prod(grid_size), "voxel label")
    return flat.astype(np.uint16, copy=False).reshape(grid_size)


def write_voxel_labels(path: str | Path, labels: np.ndarray) -> None:
    """Writes (X, Y, Z) uint16 raw ids as a ``.label`` file, atomically.

    Raises:
        ValueError: If the array is not three-dimensional uint16.
    """
    if labels.ndim != 3 or labels.dtype != np.uint16:
        raise ValueError(
            f"{path}: voxel labels must be a uint16 array (X, Y, Z), "
            f"found {labels.dtype} {labels.shape}"
        )
    with atomic_write(path) as file:
        file.write(np.ascontiguousarray(labels, dtype="<u2").tobytes())


def read_voxel_mask(path: str | Path, grid_size: tuple[int, int, int] = GRID_SIZE) -> np.ndarray:
    """Reads a ``.bin``, ``.invalid`` or ``.occluded`` file.

    Args:
        path: The file.
        grid_size: Number of voxels along (X, Y, Z); the product must be a multiple of 8.

    Returns:
        (X, Y, Z) bool.

    Raises:
        FileNotFoundError: If the file is absent.
        ValueError: If its size does not fit the grid.
    """
    flat = _read(Path(path), "u1", math.prod(grid_size) // 8, "voxel mask")
    return np.unpackbits(flat).view(bool).reshape(grid_size)


def write_voxel_mask(path: str | Path, mask: np.ndarray) -> None:
    """Writes an (X, Y, Z) bool array as a bit-packed mask file, atomically.

    Raises:
        ValueError: If the array is not a three-dimensional bool array with a multiple of 8 voxels.
    """
    if mask.ndim != 3 or mask.dtype != np.bool_ or mask.size % 8:
        raise ValueError(
            f"{path}: a voxel mask must be a bool array (X, Y, Z) with a multiple of 8 voxels, "
            f"found {mask.dtype} {mask.shape}"
        )
    with atomic_write(path) as file:
        file.write(np.packbits(mask.reshape(-1)).tobytes())
