"""Reading checkpoints safely: only tensors and plain containers, released files renamed.

torch's ``weights_only`` unpickler refuses arbitrary objects. The checkpoints that mmengine writes
hold a few harmless classes besides (logged values, numpy scalars); exactly these are let through.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import CheckpointLoader
from numpy._core import multiarray as _multiarray

from htcl.checkpoint.released import convert_released, is_released, unwrap_state_dict
from htcl.errors import InvalidValueError, MissingFileError

# Weights that once lay elsewhere in our network: now they are ``point_head``.
_MOVED = re.compile(r"\bhead\.point_supervision\.")


def _history_buffer_method(owner: Any, name: str) -> Any:
    """Stands in for ``getattr`` while unpickling: HistoryBuffer's statistics and nothing else."""
    if owner is not HistoryBuffer or name not in ("min", "max", "mean", "current"):
        raise pickle.UnpicklingError(f"attribute {name!r} of {owner!r} is not allowed")
    return getattr(owner, name)


_CLASSES: list[Any] = [
    HistoryBuffer,
    (_history_buffer_method, "builtins.getattr"),
    np.ndarray,
    np.dtype,
    *(type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")),
    _multiarray._reconstruct,
    _multiarray.scalar,
    # The same two as numpy 1 named them.
    (_multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),
    (_multiarray.scalar, "numpy.core.multiarray.scalar"),
]


def load_checkpoint_file(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Reads a checkpoint without running any code that it may contain.

    Args:
        path: A ``.pth`` file of this project, of the published release, or a bare state dict;
            weights of our own older files get their present names.
        map_location: As for :func:`torch.load`.

    Raises:
        MissingFileError: If the file does not exist.
        InvalidValueError: If the file is no checkpoint, or holds anything but tensors, plain
            containers and mmengine's logged values.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise MissingFileError(
            f"checkpoint {str(path)!r} does not exist; pretrain/README.md says where to get or how "
            "to train one"
        )
    try:
        with torch.serialization.safe_globals(_CLASSES):
            content = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise InvalidValueError(
            f"{str(path)!r} is refused: it holds objects other than tensors and plain containers "
            f"({_culprit(error)}), and loading those could run foreign code. Ask its author for a "
            "file with the state dict alone."
        ) from error
    except (RuntimeError, EOFError, LookupError, ValueError) as error:
        # torch's message goes on with advice to load the file without the check.
        reason = str(error).split(" In PyTorch")[0] or type(error).__name__
        if isinstance(error, LookupError):
            # A key or position that says nothing.
            reason = "its content has no form that PyTorch knows"
        raise InvalidValueError(f"{str(path)!r} is not a readable checkpoint: {reason}") from error
    if not isinstance(content, dict):
        raise InvalidValueError(
            f"{str(path)!r} holds a {type(content).__name__}; expected a dict of tensors or a "
            "checkpoint with a 'state_dict'"
        )
    return _with_present_names(content)


def _with_present_names(content: dict[str, Any]) -> dict[str, Any]:
    def renamed(state: dict[str, Any]) -> dict[str, Any]:
        return {
            _MOVED.sub("point_head.", key) if isinstance(key, str) else key: value
            for key, value in state.items()
        }

    for name in ("state_dict", "ema_state_dict"):
        if isinstance(content.get(name), dict):
            content[name] = renamed(content[name])
    return renamed(content)


def _culprit(error: Exception) -> str:
    """The part of torch's long message that names what it refused."""
    names = re.findall(r"GLOBAL (\S+)", str(error))
    detail = str(error).split("WeightsUnpickler error:")[-1].strip()
    return names[0] if names else detail.split("\n")[0]


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Reads a checkpoint for mmengine; of a released one only the weights, under our names.

    Entries that no rule knows keep their names, so that mmengine lists them as misfits.
    """
    content = load_checkpoint_file(filename, map_location)
    state = unwrap_state_dict(content)
    if not is_released(state):
        return content
    converted = convert_released(state)
    print_log(
        f"{filename} is a released HTCL checkpoint: {len(converted.state)} entries renamed, "
        f"{len(converted.dropped)} constants dropped, which the config determines",
        logger="current",
    )
    return {"state_dict": converted.state, "meta": {}}


def register_checkpoint_loader() -> None:
    """Makes mmengine read local checkpoints through this module, wherever it loads one."""
    CheckpointLoader.register_scheme(prefixes="", loader=load_from_local, force=True)
