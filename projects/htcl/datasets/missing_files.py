"""Which of many needed files are missing, said together."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache

from htcl.datasets.sample_info import SampleInfo
from htcl.errors import MissingFileError, listed


class MissingFiles:
    """Looks for files, listing each folder once, and remembers those that are missing.

    Args:
        folder_key: Gives the config key that says where the files of a folder lie.
    """

    def __init__(self, folder_key: Callable[[str], str]) -> None:
        self._folder_key = folder_key
        # What to say of a file that is not in its folder, and the files of each missing folder.
        self._files: dict[str, str] = {}
        self._folders: dict[tuple[str, str], set[str]] = {}
        self._listing = cache(_names)

    def look_for(self, alternatives: Sequence[str], sample: SampleInfo, step: str) -> None:
        """Looks for a file in each of its places; ``step`` of the pipeline needs it."""
        places = [os.path.split(path) for path in alternatives]
        if any(name in (self._listing(folder) or ()) for folder, name in places):
            return
        if any(self._listing(folder) is not None for folder, _ in places):
            note = f"(sequence {sample['sequence']} frame {sample['frame']}, {step})"
            self._files.setdefault(" or ".join(alternatives), note)
        else:
            self._folders.setdefault((places[-1][0], step), set()).add(places[-1][1])

    def raise_if_any(self, where: str) -> None:
        """Raises a MissingFileError that names all that were not found."""
        missing = len(self._files) + sum(map(len, self._folders.values()))
        if not missing:
            return
        lines = [
            f"{folder}: no such folder, {len(names)} files needed by {step} (may be elsewhere: key "
            f"{self._folder_key(folder)})"
            for (folder, step), names in self._folders.items()
        ]
        lines += [f"{path} {note}" for path, note in self._files.items()]
        raise MissingFileError(f"{missing} files are missing {where}:{listed(lines)}")


def _names(folder: str) -> frozenset[str] | None:
    return frozenset(os.listdir(folder)) if os.path.isdir(folder) else None
