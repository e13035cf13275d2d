"""Damage that files suffer in reality, and seeded random damage of any bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

# Bytes that parsers stumble over.
_INTERESTING = (
    b"", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\r\n", b"nan", b"inf", b"1e999", b"-1", b",", b"PK",
    b"\x93NUMPY", b"\xff" * 8, b"\x00" * 64, b"(((((", b"'", b"{", b"\x89PNG", b"999999999999",
)  # fmt: skip


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """The content with one to four random changes: bits, bytes, pieces lost, doubled or put in."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        start = int(rng.integers(0, len(data) + 1))
        length = int(rng.integers(0, 1 << rng.integers(1, 10)))
        kind = rng.integers(0, 7)
        if kind == 0 and data:
            data[min(start, len(data) - 1)] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1 and data:
            data[min(start, len(data) - 1)] = int(rng.integers(0, 256))
        elif kind == 2:
            del data[start : start + length]
        elif kind == 3:
            data[start:start] = data[start : start + length]
        elif kind == 4:
            piece = _INTERESTING[rng.integers(0, len(_INTERESTING))]
            data[start : start + (len(piece) if rng.random() < 0.5 else 0)] = piece
        elif kind == 5:
            del data[start:]
        else:
            # The head is where formats say what follows.
            place = int(rng.integers(0, min(len(data), 128) + 1))
            data[place : place + 1] = rng.bytes(1)
    return bytes(data)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere/at/all")


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def _cut(path: Path) -> None:
    # One byte less than any multiple of 16.
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 32 * 16 - 1])


# What makes any file unreadable or of a wrong length, by name.
WHOLE_FILE: dict[str, Callable[[Path], None]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut short": _cut,
    "a folder": _folder,
    "a dangling link": _dangling,
    "a link to itself": _loop,
    "wrong type": lambda path: path.write_bytes(b"<html>404 Not Found</html>" * 3),
}
