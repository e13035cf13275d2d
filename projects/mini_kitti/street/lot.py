"""A piece of land beside the street."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Lot"]


@dataclass
class Lot:
    """A piece of land beside the street.

    Attributes:
        start: First s.
        end: Last s.
        side: -1 right, +1 left.
        kind: house, row, park, carpark or plaza.
        setback: Distance from the sidewalk to the house.
        drive: (s from, s to, kind of ground) of a driveway, or None.
    """

    start: float
    end: float
    side: int
    kind: str
    setback: float
    drive: tuple[float, float, str] | None = None

    @property
    def middle(self) -> float:
        """The s of the middle."""
        return (self.start + self.end) / 2

    @property
    def length(self) -> float:
        """Extent along the street."""
        return self.end - self.start
