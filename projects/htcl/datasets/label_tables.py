"""Look-up tables of label ids, and what is said about ids that are in none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np

from htcl.errors import InvalidValueError

NUM_RAW_IDS = 1 << 16
_MAX_LISTED = 10


def id_table(mapping: Mapping[int, int], default: int, size: int = NUM_RAW_IDS) -> np.ndarray:
    """A table (size,) uint8 of ``mapping``, ``default`` elsewhere."""
    table = np.full(size, default, dtype=np.uint8)
    table[list(mapping)] = list(mapping.values())
    return table


def look_up(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """``table[ids]`` of a table of all uint8 or uint16 ids, thrice as fast."""
    # OpenCV takes no empty arrays.
    return cv2.LUT(ids.reshape(1, -1), table).reshape(ids.shape) if ids.size else table[ids]


def as_raw_ids(raw: np.ndarray, source: str | Path | None) -> np.ndarray:
    """Makes uint16 ids of integers; InvalidValueError with ``source`` if one is not in 0..65535."""
    raw = np.asarray(raw)
    if raw.dtype == np.uint16 or raw.size == 0:
        return raw.astype(np.uint16, copy=False)
    low, high = int(raw.min()), int(raw.max())
    if raw.dtype.kind not in "iu" or low < 0 or high >= NUM_RAW_IDS:
        raise InvalidValueError(
            f"{source or 'label array'}: raw label ids must be integers in 0..65535, "
            f"found {raw.dtype} in {low}..{high}"
        )
    return raw.astype(np.uint16)


def check_known(
    ids: np.ndarray, known: Iterable[int], what: str, owner: str, source: str | Path | None
) -> None:
    """Raises InvalidValueError if an id (uint8 or uint16, any shape) is not ``known``.

    The message names the file ``source``, the data set ``owner``, what the ids are, the unknown
    ones and how often they occur.
    """
    known = sorted(known)
    table = id_table(dict.fromkeys(known, 1), 0, size=np.iinfo(ids.dtype).max + 1)
    found = look_up(table, ids).view(bool)
    if found.all():
        return
    unknown, counts = np.unique(ids[~found], return_counts=True)
    listed = ", ".join(
        f"{i} ({n} times)" for i, n in zip(unknown[:_MAX_LISTED], counts[:_MAX_LISTED], strict=True)
    )
    raise InvalidValueError(
        f"{source or 'label array'}: {len(unknown)} unknown {what}(s): {listed}; expected ids of "
        f"{owner} {known}. Is it a label file of this data set?"
    )
