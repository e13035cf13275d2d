"""The metric depth axis that every depth distribution of the model shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from htcl.errors import InvalidValueError


@dataclass(frozen=True)
class DepthBins:
    """Equidistant depths ``start + i * step`` below ``stop``, the same for every module.

    Attributes:
        start: Depth of the first bin, metres in front of the camera.
        stop: Upper end of the axis, metres; not a bin itself.
        step: Distance between neighbouring bins, metres.

    Raises:
        InvalidValueError: If the numbers do not describe at least one bin in front of the camera.
    """

    start: float
    stop: float
    step: float

    def __post_init__(self) -> None:
        if not (self.start > 0 and self.step > 0 and self.stop > self.start):
            raise InvalidValueError(f"depth bins need 0 < start < stop and step > 0, got {self}")

    @classmethod
    def build(cls, config: DepthBins | Mapping[str, float]) -> DepthBins:
        """Returns ``config`` itself, or the bins of a mapping ``start, stop, step``."""
        return config if isinstance(config, DepthBins) else cls(**config)

    @property
    def num(self) -> int:
        """Number of bins; a rounding error of the division does not add one."""
        return math.ceil((self.stop - self.start) / self.step - 1e-6)

    @property
    def last(self) -> float:
        """Depth of the last bin, metres."""
        return self.start + (self.num - 1) * self.step

    def values(
        self, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Returns the depths, (D,), metres."""
        steps = torch.arange(self.num, device=device, dtype=torch.float64)
        return (self.start + self.step * steps).to(dtype)
