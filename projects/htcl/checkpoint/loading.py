"""Reading checkpoints safely: only tensors and plain containers, released files renamed.

torch's ``weights_only`` unpickler refuses arbitrary objects. The checkpoints that mmengine writes
hold a few harmless classes besides (logged values, numpy scalars); exactly these are let through.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from htcl.checkpoint.released import convert_released, is_released, unwrap_state_dict
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import CheckpointLoader

_STATISTICS = ("min", "max", "mean", "current")


def _history_buffer_method(owner: Any, name: str) -> Any:
    """Stands in for ``getattr`` while unpickling: HistoryBuffer's statistics and nothing else."""
    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise pickle.UnpicklingError(f"attribute {name!r} of {owner!r} is not allowed")
    return getattr(owner, name)


_PLAIN_CLASSES: list[Any] = [
    np.ndarray,
    np.dtype,
    np._core.multiarray._reconstruct,
    np._core.multiarray.scalar,
    *(type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")),
]
_MMENGINE_CLASSES: list[Any] = [
    HistoryBuffer,
    (_history_buffer_method, "builtins.getattr"),
]


def load_checkpoint_file(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Reads a checkpoint without running any code that it may contain.

    Args:
        path: A ``.pth`` file of this project, of the published release, or a bare state dict.
        map_location: As for :func:`torch.load`.

    Returns:
        The file's content.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is no checkpoint, or holds anything but tensors, plain containers
            and mmengine's logged values.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {str(path)!r} does not exist")
    try:
        with torch.serialization.safe_globals([*_PLAIN_CLASSES, *_MMENGINE_CLASSES]):
            content = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).split("WeightsUnpickler error:")[-1].strip().splitlines()[0]
        raise ValueError(
            f"{str(path)!r} is refused: it holds objects other than tensors and plain containers, "
            f"and loading those could run foreign code ({reason}). Ask its author for a file with "
            "the state dict alone."
        ) from error
    except (RuntimeError, EOFError) as error:
        raise ValueError(f"{str(path)!r} is not a readable checkpoint: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{str(path)!r} holds a {type(content).__name__}; expected a dict of tensors or a "
            "checkpoint with a 'state_dict'"
        )
    return content


def _load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    content = load_checkpoint_file(filename, map_location)
    state = unwrap_state_dict(content)
    if not is_released(state):
        return content
    converted = convert_released(state)
    print_log(
        f"{filename} is a released HTCL checkpoint: {len(converted.state)} entries renamed, "
        f"{len(converted.dropped)} constants dropped",
        logger="current",
    )
    return {"state_dict": converted.state, "meta": {}}


def register_checkpoint_loader() -> None:
    """Makes mmengine read local checkpoints through this module, wherever it loads one."""
    CheckpointLoader.register_scheme(prefixes="", loader=_load_from_local, force=True)
