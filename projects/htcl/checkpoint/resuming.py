"""Which checkpoint of a work dir a training goes on from."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from mmengine.logging import print_log

from htcl.checkpoint.loading import load_checkpoint_file
from htcl.errors import InvalidValueError, UserError, listed
from htcl.files import atomic_write

# Names of mmengine's CheckpointHook; the number is a step or a pass of the data.
_PERIODIC = re.compile(r"(?:iter|epoch)_(\d+)\.pth")
# The file that names the checkpoint written last.
_POINTER = "last_checkpoint"


def point_to(work_dir: str | Path, checkpoint: str | Path) -> None:
    """Notes in a work dir which checkpoint was written last."""
    with atomic_write(Path(work_dir, _POINTER), "w") as file:
        file.write(str(checkpoint))


def checkpoints_of(work_dir: str | Path) -> list[Path]:
    """The periodic checkpoints of a work dir, newest first, whether they can be read or not.

    The one that ``last_checkpoint`` names may be older than what a killed run had written. A file
    that is older than that one, but of a later step, is of an earlier run in the same folder. A
    target outside of the work dir counts only if there is none inside.
    """
    folder = Path(work_dir)
    steps = {
        path: int(match[1])
        for path in (folder.iterdir() if folder.is_dir() else ())
        if (match := _PERIODIC.fullmatch(path.name)) and path.is_file()
    }
    target = _target(folder)
    if not steps:
        return [target] if target is not None and target.is_file() else []
    # By its name alone: the folder may have been moved, or be a copy.
    last = None if target is None else folder / target.name
    since = last.stat().st_mtime_ns if last in steps and last is not None else 0
    return sorted(steps, key=lambda p: (p.stat().st_mtime_ns >= since, steps[p]), reverse=True)


def newest_checkpoint(work_dir: str | Path) -> Path | None:
    """The newest checkpoint that a training can go on from; None if the work dir has none at all.

    Files that are cut short, damaged or without a training's state are named in a warning.

    Raises:
        InvalidValueError: If there are checkpoints and none can be gone on from.
    """
    problems = []
    for path in checkpoints_of(work_dir):
        problem = _problem(path)
        if not problem:
            return path
        problems.append(problem)
        print_log(f"{problem}; looking for the checkpoint before it", "current", logging.WARNING)
    if problems:
        raise InvalidValueError(
            f"--resume: no checkpoint in {str(work_dir)!r} can be gone on from:{listed(problems)}\n"
            "Remove them to start anew, or name a checkpoint elsewhere."
        )
    return None


def _target(folder: Path) -> Path | None:
    try:
        name = (folder / _POINTER).read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return None
    return Path(name) if name else None


def _problem(path: Path) -> str:
    """What is wrong with a checkpoint; empty if a training can go on from it."""
    try:
        content = load_checkpoint_file(path)
    except UserError as error:
        return str(error)
    meta = content.get("meta")
    known = isinstance(meta, dict) and {"iter", "epoch"} <= set(meta)
    if not known or "message_hub" not in content:
        return f"{str(path)!r} holds no state of a training to go on with"
    return ""
