"""Operations and memory of a forward pass, part by part."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

REST = "rest"


class PartRecorder(TorchDispatchMode):
    """Notes operations and largest memory while each part of a model runs.

    A part begins when one of its modules does, and lasts until another part begins: so it also
    gets what its methods do outside its modules.

    Args:
        model: Its direct children are the parts.
        counter: Counts the operations.
        given: What is alive before the forward pass.
        cuda: Read the allocator of this device; None adds up the tensors that are alive.
    """

    def __init__(
        self,
        model: nn.Module,
        counter: FlopCounterMode,
        given: Iterable[Tensor],
        cuda: torch.device | None,
    ) -> None:
        super().__init__()
        self._counter = counter
        self._cuda = cuda
        self._part = REST
        self._counted = 0
        self.peaks: dict[str, int] = {}
        self.flops: dict[str, int] = {}
        self._alive = 0
        self._known: set[int] = set()
        for name, child in model.named_children():
            for module in child.modules():
                module.register_forward_pre_hook(lambda *_, part=name: self._enter(part))
        if cuda is not None:
            torch.cuda.reset_peak_memory_stats(cuda)
        for tensor in given:
            self._add(tensor)

    def finish(self) -> None:
        """Ends the last part."""
        self._enter(REST)

    def _enter(self, part: str) -> None:
        if part == self._part:
            return
        self._note()
        counted = int(self._counter.get_total_flops())
        self.flops[self._part] = self.flops.get(self._part, 0) + counted - self._counted
        self._counted, self._part = counted, part
        if self._cuda is not None:
            torch.cuda.reset_peak_memory_stats(self._cuda)

    def _note(self) -> None:
        if self._cuda is not None:
            self._alive = torch.cuda.max_memory_allocated(self._cuda)
        self.peaks[self._part] = max(self.peaks.get(self._part, 0), self._alive)

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known or self._cuda is not None:
            return
        self._known.add(key)
        self._alive += storage.nbytes()
        weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._alive -= size

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Runs the operation and looks at its results."""
        result = func(*args, **(kwargs or {}))
        if self._cuda is None:
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor):
                    self._add(leaf)
            self._note()
        return result
