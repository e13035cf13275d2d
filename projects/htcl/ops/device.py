"""Which of several ways to compute an operator suits a device or an exported program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor


class _Choice:
    """Not a ContextVar, at which torch.compile would end its graph."""

    gpu_everywhere = False
    standard_alone = False


def suits_gpu(tensor: Tensor) -> bool:
    """Whether operators on a tensor take their GPU form: few large kernels, no size from values."""
    return _Choice.gpu_everywhere or tensor.device.type != "cpu"


@contextmanager
def gpu_operators() -> Iterator[None]:
    """Operators take their GPU form on every device: for tests, and to estimate a GPU's memory."""
    before = _Choice.gpu_everywhere
    _Choice.gpu_everywhere = True
    try:
        yield
    finally:
        _Choice.gpu_everywhere = before


def standard_only() -> bool:
    """Whether operators have to be made of those that every runtime knows, ONNX's."""
    return _Choice.standard_alone


@contextmanager
def standard_operators() -> Iterator[None]:
    """Operators take a form made of standard ones, without sizes from values: for an export."""
    before = _Choice.standard_alone
    _Choice.standard_alone = True
    try:
        yield
    finally:
        _Choice.standard_alone = before
