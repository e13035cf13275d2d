"""Notes where tensors travel between host and device, on real or fake tensors."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_COPIES = ("_to_copy", "copy_")
_LIBRARY = str(Path(torch.__file__).parent)


class DeviceCopies(TorchDispatchMode):
    """A context.

    Attributes:
        places: ``file:line`` of each copy between devices, and of each operator that mixes devices,
            which copies inside. Numbers (of no axis) may come from the host: they go with the
            kernel.
    """

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Runs the operator and compares devices."""
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        if func._opname not in _COPIES:
            tensors = [tensor for tensor in tensors if tensor.dim() > 0]
        if len({tensor.device.type for tensor in tensors}) > 1:
            self.places.append(f"{_place()} ({func})")
        return result


def _place() -> str:
    """Where the code that is tested called torch."""
    for frame in reversed(traceback.extract_stack()):
        if frame.filename != __file__ and not frame.filename.startswith(_LIBRARY):
            return f"{frame.filename}:{frame.lineno}"
    return "unknown"
