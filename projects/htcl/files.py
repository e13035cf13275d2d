"""Files that must exist, and writing files so that none is ever half there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from htcl.errors import MissingFileError


def existing(path: str | Path, what: str) -> Path:
    """The path of a file; raises MissingFileError, which says ``what`` it is, if there is none."""
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path}: {what} file not found")
    return path


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Opens a temporary file that takes the place of ``path`` if the block ends without error.

    Readers and interrupted runs therefore never meet half a file. The folder is made if needed.
    ``mode`` is ``'wb'``, or ``'w'`` for text in UTF-8.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Exclusive creation under a random name: the kernel applies the usual rights (umask).
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open(mode.replace("w", "x"), encoding=None if "b" in mode else "utf-8") as file:
            yield file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
