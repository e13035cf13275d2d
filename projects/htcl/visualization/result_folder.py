"""Where result files lie: ``SEQUENCE/FRAME.npz``, and a pointer to the folder written last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from htcl.errors import MissingFileError
from htcl.files import atomic_write, plain_name

# Relative to the working directory, as mmengine's work_dirs is.
LATEST = Path("outputs/vis/latest.txt")


def result_path(folder: str | Path, sequence: str, frame: str) -> Path:
    """Returns where a frame's result lies; InvalidValueError if a name would lead elsewhere."""
    for what, name in (("sequence", sequence), ("frame", frame)):
        plain_name(name, what)
    return Path(folder) / sequence / f"{frame}.npz"


def mark_latest(folder: str | Path, pointer: Path = LATEST) -> None:
    """Notes that ``folder`` holds the results written last."""
    with atomic_write(pointer, "w") as file:
        file.write(f"{Path(folder).resolve()}\n")


def latest_folder(pointer: Path = LATEST) -> Path:
    """Returns the folder of the results written last.

    Raises:
        MissingFileError: If nothing was written yet, or it is gone.
    """
    if not pointer.is_file():
        raise MissingFileError(
            f"no results yet: {pointer} does not exist. Run tools/save_vis.py CONFIG CKPT first, "
            "or name the folder of its results"
        )
    folder = Path(pointer.read_text().strip())
    if not folder.is_dir():
        raise MissingFileError(
            f"{pointer} points to {folder}, which does not exist any more. "
            "Run tools/save_vis.py CONFIG CKPT again, or name the folder of its results"
        )
    return folder


def list_results(folder: str | Path, frame: str | None = None) -> list[Path]:
    """Lists the result files of a folder, sorted by sequence and frame.

    Args:
        folder: Folder that tools/save_vis.py wrote.
        frame: "SEQUENCE/FRAME" or "SEQUENCE", to choose one frame or one sequence.

    Raises:
        MissingFileError: If there is no such folder, or no such file in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(
            f"folder {folder} does not exist; tools/save_vis.py writes result folders"
        )
    found = sorted(folder.glob("*/*.npz"))
    if not found:
        raise MissingFileError(
            f"{folder} holds no result file (SEQUENCE/FRAME.npz); tools/save_vis.py writes them"
        )
    if frame is None:
        return found
    names = [f"{path.parent.name}/{path.stem}" for path in found]
    named = zip(found, names, strict=True)
    chosen = [path for path, name in named if frame in (path.parent.name, name)]
    if not chosen:
        raise MissingFileError(
            f"{folder} holds no frame {frame!r}; "
            f"it holds {len(names)} frames, {names[0]} to {names[-1]}"
        )
    return chosen


def telling_names(paths: Sequence[str | Path]) -> list[str]:
    """Names each file by what its path does not share with the others at its beginning and end.

    Files of the same path have their whole path as name.
    """
    parts = [Path(path).resolve().with_suffix("").parts for path in paths]
    start, end = (
        next((i for i, level in enumerate(zip(*each, strict=False)) if len(set(level)) > 1), 0)
        for each in (parts, [part[::-1] for part in parts])
    )
    return ["/".join(part[start : len(part) - end]) for part in parts]
