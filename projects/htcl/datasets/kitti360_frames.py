"""Numbers of the frames of SSCBench-KITTI-360: its own, and those that KITTI-360 gave them.

The benchmark left out the frames without a pose and numbered the others anew from 0 on. A frame map
is a text file (``.xz`` compressed or not) with a line for each of its frames, in order:
``2013_05_28_drive_0000_sync 0000000009.png 000000.png``, drive, KITTI-360's name and the
benchmark's. Other lines are passed over. Shape letter: T frame of a drive.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from htcl.datasets.kitti360_layout import drive_name
from htcl.errors import InvalidValueError
from htcl.files import atomic_write, existing

# KITTI-360 took ten pictures a second.
FRAME_INTERVAL = 0.1
_LINE = re.compile(r"\s*(\S+_sync)\s+(\d+)\.png\s+(\d+)\.png\s*")


def read_frame_numbers(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a frame map.

    Returns:
        For each drive, such as ``'00'``, KITTI-360's numbers of its frames 0, 1, ..., (T,) int64.

    Raises:
        MissingFileError: If there is no such file.
        InvalidValueError: If it has no line of the form, the benchmark's numbers of a drive are not
            0, 1, 2, ..., or KITTI-360's do not rise.
    """
    path = existing(path, "frame number")
    try:
        content = path.read_bytes()
        text = (lzma.decompress(content) if path.suffix == ".xz" else content).decode("utf-8-sig")
    except (lzma.LZMAError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"{path}: frame numbers cannot be read: {error}") from error
    drives: dict[str, list[int]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if (match := _LINE.fullmatch(line)) is None:
            continue
        drive, theirs, own = match[1], int(match[2]), int(match[3])
        before = drives.setdefault(drive, [])
        if own != len(before) or (before and theirs <= before[-1]):
            raise InvalidValueError(
                f"{path}: line {number}: frame {own} of {drive} is KITTI-360's {theirs}, expected "
                f"frame {len(before)} and a number above {before[-1] if before else -1}: lines are "
                "missing, doubled or out of order"
            )
        before.append(theirs)
    if not drives:
        raise InvalidValueError(
            f"{path}: no line such as '{drive_name('00')} 0000000009.png 000000.png'"
        )
    return {drive[-7:-5]: np.array(numbers) for drive, numbers in drives.items()}


def write_frame_numbers(path: str | Path, sequence: str, numbers: Iterable[int]) -> None:
    """Writes the frame map of a drive: KITTI-360's numbers of its frames 0, 1, ..."""
    drive = drive_name(sequence)
    with atomic_write(path, "w") as file:
        for own, number in enumerate(numbers):
            file.write(f"{drive} {number:010d}.png {own:06d}.png\n")


def match_frames(own: Sequence[Path], theirs: Mapping[int, Path]) -> list[int]:
    """Finds KITTI-360's numbers of the benchmark's frames: equal images, in the same order.

    Args:
        own: The benchmark's left images, in order.
        theirs: Those of KITTI-360 by number, in order.

    Raises:
        InvalidValueError: If an image has no equal one after that of the frame before it, or cannot
            be decoded.
    """
    numbers: list[int] = []
    candidates = iter(theirs.items())
    for path in own:
        content = path.read_bytes()
        # Decoded once, and only if a file is not the same byte by byte.
        image: np.ndarray | None = None
        for number, candidate in candidates:
            other = candidate.read_bytes()
            if other != content:
                image = _decoded(path, content) if image is None else image
                if not np.array_equal(image, _decoded(candidate, other)):
                    continue
            numbers.append(number)
            break
        else:
            after = f"after {theirs[numbers[-1]].name} " if numbers else ""
            folder = next(iter(theirs.values())).parent if theirs else "KITTI-360's folder"
            raise InvalidValueError(
                f"{path}: no image {after}in {folder} is equal to it: one of the two copies is "
                "incomplete or of another drive, or its images were changed"
            )
    return numbers


def _decoded(path: Path, content: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise InvalidValueError(f"{path}: image cannot be decoded")
    return image
