"""Reading whole files with one kind of message, and writing files so that none is ever half there.

No name that comes from outside leads out of a folder: see :func:`plain_name`.
"""

from __future__ import annotations

import errno
import glob
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from htcl.errors import InvalidValueError, MissingFileError

# No file of a data set comes near; what is larger is no such file, and would fill the memory.
LARGEST_FILE = 1 << 30
# Longest name of a sequence or frame; file systems end at 255 bytes, and suffixes are added.
_LONGEST_NAME = 120

# Ending of files that are being written.
_PART = ".part"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def existing(path: str | Path, what: str) -> Path:
    """The path of a file; ``what`` says in messages what it is.

    Raises:
        MissingFileError: If there is none, or a link leads nowhere.
        InvalidValueError: If it is a folder or a device, or may not be looked at.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise MissingFileError(
                f"{path}: {what} file not found: the link leads to {os.readlink(path)}, which does "
                "not exist; mend the link or put the file here"
            ) from None
        raise MissingFileError(f"{path}: {what} file not found") from None
    except (OSError, ValueError) as error:
        raise unreadable(path, what, error) from None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "no plain file (a device or a pipe)"
        raise InvalidValueError(f"{path}: this is {kind}, expected the {what} file itself")
    return path


def unreadable(path: str | Path, what: str, error: Exception) -> InvalidValueError:
    """What is raised where the operating system does not hand out a file."""
    reason = getattr(error, "strerror", None) or error
    return InvalidValueError(
        f"{path}: {what} file cannot be read: {reason}; check the rights of the file and of its "
        "folders (`ls -l`) and the disk"
    )


def read_bytes(path: str | Path, what: str, largest: int = LARGEST_FILE) -> bytes:
    """Reads a whole file of at most ``largest`` bytes.

    Raises:
        MissingFileError: If there is none.
        InvalidValueError: If it cannot be read, is no plain file, or is larger than any such file.
    """
    path = existing(path, what)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > largest:
                raise InvalidValueError(
                    f"{path}: {what} file has {size} bytes, expected {largest} at the most: "
                    "it is damaged or another kind of file"
                )
            return file.read()
    except OSError as error:
        raise unreadable(path, what, error) from None


def read_text(path: str | Path, what: str, largest: int = LARGEST_FILE) -> str:
    """Reads a text in UTF-8 as any editor saves it: with or without byte order mark, CRLF or LF.

    Raises:
        MissingFileError: If there is none.
        InvalidValueError: If it cannot be read, or is no text in UTF-8.
    """
    content = read_bytes(path, what, largest)
    try:
        return content.decode("utf-8").removeprefix("\N{BYTE ORDER MARK}")
    except UnicodeDecodeError as error:
        raise InvalidValueError(
            f"{path}: {what} file is no text in UTF-8 ({error}); save it as UTF-8, or copy it anew"
        ) from None


def plain_name(name: str, what: str) -> str:
    """The name of one file or folder, unchanged if it cannot lead anywhere else.

    Raises:
        InvalidValueError: If it is empty, has a path in it, or characters that no name needs.
    """
    wrong = (
        name.strip() in ("", ".", "..")
        or any(char in "/\\" or not char.isprintable() for char in name)
        or len(name.encode("utf-8", "replace")) > _LONGEST_NAME
    )
    if wrong:
        shown = repr(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}...")
        raise InvalidValueError(
            f"{what} {shown} cannot be the name of a folder or file: give a name without / and \\ "
            f"and without control characters, other than '.' and '..', of {_LONGEST_NAME} bytes at "
            "the most"
        )
    return name


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
