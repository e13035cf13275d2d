"""Which of several ways to compute an operator suits a device or an exported program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from torch import Tensor


class _Choice:
    """Not a ContextVar, at which torch.compile would end its graph."""

    gpu_everywhere = False
    standard_alone = False


def suits_gpu(tensor: Tensor) -> bool:
    """Whether operators on a tensor take their GPU form: few large kernels, no size from values."""
    return _Choice.gpu_everywhere or tensor.device.type != "cpu"


@contextmanager
def _chosen(name: str) -> Iterator[None]:
    before = getattr(_Choice, name)
    setattr(_Choice, name, True)
    try:
        yield
    finally:
        setattr(_Choice, name, before)


def gpu_operators() -> AbstractContextManager[None]:
    """Operators take their GPU form on every device: for tests, and to estimate a GPU's memory."""
    return _chosen("gpu_everywhere")


def standard_only() -> bool:
    """Whether operators have to be made of those that every runtime knows, ONNX's."""
    return _Choice.standard_alone


def standard_operators() -> AbstractContextManager[None]:
    """Operators take a form made of standard ones, without sizes from values: for an export."""
    return _chosen("standard_alone")
