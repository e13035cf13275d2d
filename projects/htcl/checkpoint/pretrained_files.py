"""Files of weights that single parts of a network start from (``init_cfg``): are they there?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from htcl.errors import MissingFileError


def check_pretrained_files(model: Any, replaced: bool) -> None:
    """Looks for the files of a model's pretrained parts, before anything is built.

    Args:
        model: The config's ``model``; files that are missing or on the net are taken out of it if
            they are not needed.
        replaced: Whether weights of the whole network follow, so that no part needs its own.

    Raises:
        MissingFileError: If a file that is needed does not exist.
    """
    for path, part in _parts(model, "model"):
        steps = part.get("init_cfg") or []
        kept = []
        for step in [steps] if isinstance(steps, dict) else steps:
            file = step.get("checkpoint")
            if file is None or (not replaced and "://" in file) or Path(file).is_file():
                kept.append(step)
            elif not replaced:
                raise MissingFileError(
                    f"pretrained weights {file!r} of {path} do not exist; pretrain/README.md "
                    "says where to get them. Without them: --cfg-options "
                    f"{path}.init_cfg=None, or --load-from a checkpoint of the whole network"
                )
        if isinstance(steps, list) and kept != steps:
            part["init_cfg"] = kept
        elif steps and not kept:
            part.pop("init_cfg")


def _parts(part: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """All dicts of a model's config, by dotted key."""
    if isinstance(part, dict):
        yield path, part
        for key, value in part.items():
            yield from _parts(value, f"{path}.{key}")
    elif isinstance(part, list | tuple):
        for index, value in enumerate(part):
            yield from _parts(value, f"{path}.{index}")
