"""Depth from outside of the network: ``depth_2/NNNNNN.npz``, a file a frame and camera.

Shape letters: P plane, h' w' pixel of the file's own map, which covers the whole original image at
any resolution. A file holds one of these, floating-point numbers without pickled objects:

* ``depth`` (h', w'): metres along the optical axis;
* ``disparity`` (h', w'): pixels of the original image, whatever the width of the map;
* ``probability`` (P, h', w') and its planes, ``depth`` (P,) or ``disparity`` (P,) in these units.

In a map, 0, NaN and infinity are unknown (also what only 32 bits make infinite); in a volume,
pixels whose probabilities do not have a positive sum.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from htcl.array_files import read_npz
from htcl.errors import InvalidValueError

_CONTENTS = (
    {"depth"},
    {"disparity"},
    {"probability", "depth"},
    {"probability", "disparity"},
)
_EXPECTED = (
    "'depth' or 'disparity' (a map), or 'probability' and its planes 'depth' or 'disparity' "
    "(docs/external_depth.md has an example)"
)


class ExternalDepth(NamedTuple):
    """Content of a file.

    Attributes:
        values: A map (h', w') float32 in its unit, 0 where unknown, or, with ``planes``,
            probabilities (P, h', w') float32, all 0 where unknown.
        planes: The planes (P,) float64, rising; None for a map.
        unit: 'depth' in metres, or 'disparity' in original pixels.
    """

    values: np.ndarray
    planes: np.ndarray | None
    unit: str


def read_depth_file(path: str | Path) -> ExternalDepth:
    """Reads and checks a file.

    Raises:
        MissingFileError: If the file is absent.
        InvalidValueError: If it is no ``.npz`` file, or holds something else than described.
    """
    arrays = read_npz(
        path,
        "external depth",
        f"expected one of numpy.savez or numpy.savez_compressed with {_EXPECTED}",
    )
    if set(arrays) not in _CONTENTS:
        raise InvalidValueError(
            f"{path}: the file holds {sorted(arrays) or 'nothing'}, expected {_EXPECTED}"
        )
    for key, array in arrays.items():
        if array.dtype.kind != "f":
            raise InvalidValueError(
                f"{path}: {key} is {array.dtype}, expected floating-point numbers "
                "(metres, pixels or probabilities)"
            )
    unit = "depth" if "depth" in arrays else "disparity"
    if "probability" not in arrays:
        return ExternalDepth(_checked(path, unit, arrays[unit], axes=2), None, unit)
    probability = _checked(path, "probability", arrays["probability"], axes=3)
    planes = arrays[unit].astype(np.float64)
    if planes.shape != probability.shape[:1] or len(planes) < 2:
        raise InvalidValueError(
            f"{path}: {unit} is {planes.shape} beside probability {probability.shape}, expected "
            f"{probability.shape[:1]}, one number for each of at least two planes"
        )
    order = np.argsort(planes)
    planes = planes[order]
    # A plane of disparity 0 is infinitely far; one of depth 0 is nowhere.
    start = planes[0] >= 0 if unit == "disparity" else planes[0] > 0
    if not (np.isfinite(planes).all() and start and (np.diff(planes) > 0).all()):
        raise InvalidValueError(
            f"{path}: {unit} is {arrays[unit].tolist()}, expected different finite planes "
            f"{'from 0 on' if unit == 'disparity' else 'above 0'}"
        )
    return ExternalDepth(probability[order], planes, unit)


def _checked(path: str | Path, key: str, array: np.ndarray, axes: int) -> np.ndarray:
    """The array in float32, 0 where it is not finite."""
    names = "(planes, height, width)" if axes == 3 else "(height, width)"
    if array.ndim != axes or 0 in array.shape:
        raise InvalidValueError(f"{path}: {key} has the shape {array.shape}, expected {names}")
    negative = np.argwhere(array < 0)
    if len(negative):
        place = tuple(negative[0].tolist())
        raise InvalidValueError(
            f"{path}: {key} is {array[place]} at {names} = {place} and negative at {len(negative)} "
            "places, expected 0 where it is unknown"
        )
    with np.errstate(over="ignore"):
        return np.nan_to_num(array.astype(np.float32), nan=0.0, posinf=0.0)
