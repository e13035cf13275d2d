"""Files that must exist, and writing files so that none is ever half there."""

from __future__ import annotations

import errno
import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from htcl.errors import MissingFileError

# Ending of files that are being written.
_PART = ".part"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def existing(path: str | Path, what: str) -> Path:
    """The path of a file; raises MissingFileError, which says ``what`` it is, if there is none."""
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path}: {what} file not found")
    return path


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Opens a temporary file that takes the place of ``path`` if the block ends without error.

    Readers and interrupted runs therefore never meet half a file, nor does who switches the machine
    on again after its power was cut. The folder is made if needed. An error of the operating system
    (a full disk) names ``path``. ``mode`` is ``'wb'``, or ``'w'`` for text in UTF-8.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Exclusive creation under a random name: the kernel applies the usual rights (umask).
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PART}")
    try:
        with part.open(mode.replace("w", "x"), encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            # Before the renaming: else the new name may outlive a power cut and the content not.
            os.fsync(file.fileno())
        os.replace(part, path)
    except Exception as error:
        refusal = _refusal(error)
        if refusal is None:
            raise
        # What fails while it writes does not know its file.
        if refusal.filename in (None, str(part)):
            refusal.filename = str(path)
        raise refusal from error.__cause__
    finally:
        part.unlink(missing_ok=True)


def _refusal(error: BaseException) -> OSError | None:
    """The operating system's error behind one of a writing library, such as torch or zipfile."""
    if isinstance(error, OSError):
        return error
    context = error.__context__
    while context is not None:
        if isinstance(context, OSError) and context.errno in _NO_SPACE:
            return context
        context = context.__context__
    return None


def remove_parts(folder: str | Path, suffix: str) -> None:
    """Removes what killed processes left of the files ``*suffix`` that they were writing."""
    for part in Path(folder).glob(f".*{glob.escape(suffix)}.*{_PART}"):
        part.unlink(missing_ok=True)
