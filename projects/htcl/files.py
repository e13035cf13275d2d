"""Writing files so that none is ever half there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Opens a temporary file that takes the place of ``path`` if the block ends without error.

    Readers and interrupted runs therefore never meet half a file. The folder is made if needed.

    Args:
        path: The file to write.
        mode: ``'wb'``, or ``'w'`` for text in UTF-8.

    Yields:
        A file object.

    Raises:
        OSError: If the folder or the file cannot be written.
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
