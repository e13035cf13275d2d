"""Which of two ways to compute an operator suits a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

_everywhere: ContextVar[bool] = ContextVar("gpu_operators", default=False)


def suits_gpu(tensor: Tensor) -> bool:
    """Whether operators on a tensor take their GPU form: few large kernels, no size from values."""
    return _everywhere.get() or tensor.device.type != "cpu"


@contextmanager
def gpu_operators() -> Iterator[None]:
    """Operators take their GPU form on every device: for tests, and to estimate a GPU's memory."""
    token = _everywhere.set(True)
    try:
        yield
    finally:
        _everywhere.reset(token)
