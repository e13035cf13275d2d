"""Look and label of a piece of surface."""

from __future__ import annotations

from dataclasses import dataclass, replace

from htcl.datasets.mini.materials import Material
from htcl.datasets.mini.raw_labels import RawLabel

__all__ = ["Surface"]


@dataclass(frozen=True)
class Surface:
    """Look and label of a piece of surface.

    Attributes:
        label: Raw SemanticKITTI id.
        material: Chooses texture and remission.
        color: sRGB in [0, 1].
        params: Four numbers for the texture (their meaning is in textures.py).
        seed: Varies the texture between objects of one material.
    """

    label: RawLabel
    material: Material
    color: tuple[float, float, float]
    params: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    seed: int = 0

    def tinted(self, factor: float) -> Surface:
        """Return the same surface, lighter (factor > 1) or darker."""
        return replace(self, color=tuple(min(1.0, channel * factor) for channel in self.color))
