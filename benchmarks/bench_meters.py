"""Instruments of benchmarks/run.py: operators, memory, synchronisations, time by part."""

from __future__ import annotations

import contextlib
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

# What the view transformer does, outside any forward().
_METHODS = ("index", "splat", "pool", "best_depth")
# Parts that are shown with their own parts.
_OPENED = ("temporal", "stereo")
_SYNCHRONISING = "called a synchronizing CUDA operation"


class OperatorCounter(TorchDispatchMode):
    """Counts dispatched operators, and the operations of those whose number is known.

    Those of matrix products and convolutions are, as in ``torch.utils.flop_counter``; a
    multiply-add is two. A context; the backward pass counts too.

    Attributes:
        operators: All that were dispatched.
        launches: Those of them that give a device work: no views, no empty tensors, no questions.
        flops: Operations.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operators = 0
        self.launches = 0
        self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Runs the operator and counts it."""
        result = func(*args, **(kwargs or {}))
        self.operators += 1
        self.launches += _launches(func)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=result)
        return result


def _launches(func: Any) -> bool:
    name = func._opname
    # This one is a view that its schema does not call so.
    idle = func.is_view or name == "_unsafe_view" or name.startswith(("empty", "new_empty"))
    return func.namespace != "prim" and not idle


def reset_peak(device: torch.device) -> None:
    """Begins a new measurement of the peak memory."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    # The kernel's high-water mark of this process goes down to what it holds now.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes(device: torch.device) -> int:
    """Peak since :func:`reset_peak`: of the GPU's allocator, or resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _status("VmHWM")


def held_bytes(device: torch.device) -> int:
    """Memory in use now."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else _status("VmRSS")


def _status(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    match = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0


def synchronisations(step: Callable[[], Any], device: torch.device) -> dict[str, int] | None:
    """Runs a step and notes where the host waits for the GPU.

    Returns:
        Number of waits by file and line; None on a CPU, where nothing can wait.
    """
    if device.type != "cuda":
        return None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    places = [
        f"{'/'.join(Path(each.filename).parts[-3:])}:{each.lineno}"
        for each in caught
        if _SYNCHRONISING in str(each.message)
    ]
    return dict(Counter(places).most_common())


class StageClock:
    """Times the parts of a network while it runs.

    Parts are the named children, and those of ``temporal`` and ``stereo``. A part that runs inside
    another counts in both.

    Args:
        model: The network.
        device: Where it runs. On a GPU the time is between events on its stream.
    """

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._open: list[tuple[str, Any]] = []
        self._spans: list[tuple[str, str | None, Any, Any]] = []
        self._undo: list[Callable[[], Any]] = []
        for name, child in model.named_children():
            self._watch(name, child)
            if name in _OPENED:
                for inner, module in child.named_children():
                    self._watch(f"{name}.{inner}", module)

    def _watch(self, name: str, module: nn.Module) -> None:
        before = module.register_forward_pre_hook(lambda *_: self._enter(name))
        after = module.register_forward_hook(lambda *_: self._leave())
        self._undo += [before.remove, after.remove]
        for method in _METHODS:
            function = getattr(module, method, None)
            if function is not None:
                setattr(module, method, self._timed(f"{name}.{method}", function))
                self._undo.append(lambda module=module, method=method: delattr(module, method))

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            self._enter(name)
            try:
                return function(*args, **kwargs)
            finally:
                self._leave()

        return run

    def _now(self) -> Any:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _enter(self, name: str) -> None:
        self._open.append((name, self._now()))

    def _leave(self) -> None:
        name, start = self._open.pop()
        parent = self._open[-1][0] if self._open else None
        self._spans.append((name, parent, start, self._now()))

    def take(self) -> tuple[dict[str, float], float]:
        """Ends a pass.

        Returns:
            Seconds of each part, and of all parts that ran inside no other.
        """
        if self._cuda:
            torch.cuda.synchronize()
        seconds: dict[str, float] = {}
        outermost = 0.0
        for name, parent, start, end in self._spans:
            span = start.elapsed_time(end) / 1000 if self._cuda else end - start
            seconds[name] = seconds.get(name, 0.0) + span
            outermost += span if parent is None else 0.0
        self._spans.clear()
        return seconds, outermost

    def close(self) -> None:
        """Takes the instruments off."""
        for undo in self._undo:
            undo()
