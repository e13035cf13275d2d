"""numpy's files, ``.npy`` and ``.npz``, from strangers: no pickled objects, read to their end."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path

import numpy as np

from htcl.errors import InvalidValueError
from htcl.files import LARGEST_FILE, read_bytes

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npy(path: str | Path, what: str, remedy: str) -> np.ndarray:
    """Reads a ``.npy`` file of numbers or text.

    Args:
        path: The file.
        what: What it is, for the message if it is missing.
        remedy: How to get a good one, the end of a message.

    Raises:
        MissingFileError: If there is none.
        InvalidValueError: If it is damaged, cut short or too long, or holds Python objects.
    """
    content = read_bytes(path, what)
    try:
        return _array(content)
    # Whatever a damaged header makes numpy's parser raise.
    except Exception as error:
        raise _refused(path, ".npy", error, remedy) from error


def read_npz(path: str | Path, what: str, remedy: str) -> dict[str, np.ndarray]:
    """Reads all arrays of a ``.npz`` file and compares their check sums; as :func:`read_npy`."""
    content = read_bytes(path, what)
    try:
        return _arrays(content)
    # A damaged archive makes zipfile and its decompressors raise a dozen unrelated types.
    except Exception as error:
        raise _refused(path, ".npz", error, remedy) from error


def _refused(path: str | Path, kind: str, error: Exception, remedy: str) -> InvalidValueError:
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return InvalidValueError(f"{path}: not a readable {kind} file ({reason}); {remedy}")


def _arrays(content: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        total = sum(entry.file_size for entry in entries)
        if total > LARGEST_FILE:
            raise ValueError(f"its arrays would fill {total} bytes")
        arrays = {}
        for entry in entries:
            if not entry.filename.endswith(".npy"):
                raise ValueError(f"the entry {entry.filename!r} is no array")
            # Read as a whole, which compares the check sum; numpy alone may miss the end.
            arrays[entry.filename.removesuffix(".npy")] = _array(archive.read(entry))
        return arrays


def _array(content: bytes) -> np.ndarray:
    """The array of a ``.npy`` file's content; its header is not believed before it is checked."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"format version {version} is unknown")
    shape, fortran, dtype = _HEADERS[version](file)
    if dtype.hasobject or dtype.names:
        raise ValueError(f"it holds {dtype}, not plain numbers or text")
    count = math.prod(shape)
    found, expected = len(content) - file.tell(), count * dtype.itemsize
    if min(shape, default=0) < 0 or found != expected:
        raise ValueError(
            f"{found} bytes of numbers, but {dtype} {shape} as its head says needs {expected}"
        )
    array = np.frombuffer(content, dtype, count=count, offset=file.tell())
    return array.reshape(shape, order="F" if fortran else "C").copy()
