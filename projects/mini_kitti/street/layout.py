"""Street layout: which lot lies where, and what the ground is made of.

Coordinates are those of road.py: s along the street, d to its left, metres. Sides: -1 right, +1
left.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mini_kitti.street.ground import KINDS, GroundPlan
from mini_kitti.street.lot import Lot
from mini_kitti.street.road import Road
from mini_kitti.street.styles import StreetStyle

__all__ = ["StreetLayout"]

_LOT_LENGTH = (11.0, 20.0)
# Kind of ground between sidewalk and house, and whether it covers the whole lot.
_LOT_GROUND = {
    "house": ("grass", False),
    "row": ("sidewalk", False),
    "park": ("grass", True),
    "carpark": ("parking", True),
    "plaza": ("gravel", True),
}


@dataclass
class StreetLayout:
    """Lots and zones of one street.

    Attributes:
        style: The kind of street.
        start: First s.
        end: Last s.
        seen_end: Objects that must be seen stand before this s.
        rng: Random generator of the layout.
        lots: Filled on construction.
    """

    style: StreetStyle
    start: float
    end: float
    seen_end: float
    rng: np.random.Generator
    lots: list[Lot] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Divide both sides into lots."""
        self._zones = {side: self._strips(side) for side in (-1, 1)}
        for side in (-1, 1):
            self.lots += self._divide(side)
        self._ensure_kinds()

    def zone(self, side: int, name: str) -> tuple[float, float]:
        """Return the smallest and largest abs(d) of a strip: road, parking, verge, ..., yard."""
        return self._zones[side][name]

    def _strips(self, side: int) -> dict[str, tuple[float, float]]:
        index = 0 if side < 0 else 1
        widths = {
            "road": self.style.road_half_width,
            "parking": self.style.parking[index],
            "verge": self.style.verge[index],
            "sidewalk": self.style.sidewalk[index],
            "yard": 1e3,
        }
        strips, inner = {}, 0.0
        for name, width in widths.items():
            strips[name] = inner, inner + width
            inner += width
        return strips

    def near_junction(self, s: float, side: int, margin: float = 0.0) -> bool:
        """Say whether a place lies on (or within ``margin`` of) a side street of that side."""
        return any(
            abs(s - middle) < half + margin
            for middle, half, sides in self.style.junctions
            if sides == "both" or (sides == "left") == (side > 0)
        )

    def _divide(self, side: int) -> list[Lot]:
        lots, rng = [], self.rng
        names, weights = list(self.style.lots), np.array(list(self.style.lots.values()))
        s = self.start
        while s < self.end - _LOT_LENGTH[0]:
            length = rng.uniform(*_LOT_LENGTH)
            kind = str(rng.choice(names, p=weights / weights.sum()))
            setback = rng.uniform(*self.style.setback)
            drive = None
            if kind == "house":
                ground = "gravel" if rng.random() < 0.5 else "parking"
                drive = (s + 0.4, s + 3.4, ground)
            if kind in ("carpark", "plaza"):
                setback = rng.uniform(11.0, 17.0)
            clear = np.arange(s, s + length, 0.5)
            if not any(self.near_junction(x, side, 2.4) for x in clear):
                lots.append(Lot(s, s + length, side, kind, setback, drive))
                s += length
            else:
                s += 1.0
        return lots

    def _ensure_kinds(self) -> None:
        """Make sure that every class of ground is near the drive: gravel, parking, houses."""
        near = [lot for lot in self.lots if 8.0 < lot.middle < self.seen_end - 15.0]
        order = self.rng.permutation(len(near))
        wanted = ["plaza", "house"]
        if not any(self.style.parking):
            wanted.append("carpark")
        missing = [kind for kind in wanted if not any(lot.kind == kind for lot in near)]
        spare = [near[i] for i in order if near[i].kind not in wanted] or [near[i] for i in order]
        for kind, lot in zip(missing, spare, strict=False):
            lot.kind = kind
            if kind == "house":
                lot.drive = (lot.start + 0.4, lot.start + 3.4, "gravel")
            else:
                lot.drive, lot.setback = None, 13.0

    def lot_at(self, s: float, side: int) -> Lot | None:
        """Return the lot at a place, or None."""
        for lot in self.lots:
            if lot.side == side and lot.start <= s < lot.end:
                return lot
        return None

    def _profile(self, s: float, side: int) -> list[tuple[float, str]]:
        """Return kinds of ground across one side, each with the abs(d) where it ends.

        The first one that ends beyond a place is that of the place.
        """
        if self.near_junction(s, side):
            return [(np.inf, "road")]
        profile = [(self.zone(side, "road")[1], "road")]
        if self.near_junction(s, side, 2.2):
            return [*profile, (np.inf, "sidewalk")]
        # Kerbs reach out near a junction, so that nobody parks there.
        beside = "sidewalk" if self.near_junction(s, side, 6.0) else "parking"
        sidewalk_end = self.zone(side, "sidewalk")[1]
        profile.append((self.zone(side, "parking")[1], beside))
        profile.append((self.zone(side, "verge")[1], "grass"))
        profile.append((sidewalk_end, "sidewalk"))
        lot = self.lot_at(s, side)
        if lot is not None:
            if lot.drive and lot.drive[0] <= s < lot.drive[1]:
                profile.append((sidewalk_end + 13.0, lot.drive[2]))
            ground, whole = _LOT_GROUND[lot.kind]
            if lot.kind == "house" and lot.setback < 1.5:
                ground = "sidewalk"
            profile.append((sidewalk_end + lot.setback + (1.0 if whole else 0.3), ground))
        return [*profile, (np.inf, "grass")]

    def _kinds(self, s: float, d: np.ndarray) -> list[int]:
        """Return indices into KINDS of places at s."""
        profiles = {side: self._profile(s, side) for side in (-1, 1)}
        kinds = []
        for place in d.tolist():
            profile = profiles[1 if place > 0 else -1]
            kinds.append(KINDS.index(next(kind for end, kind in profile if abs(place) < end)))
        return kinds

    def ground_plan(self, road: Road, seed: int) -> GroundPlan:
        """Lay the cells of the ground so that every border above is a cell border."""
        s_edges = [*np.arange(self.start, self.end, 2.0), self.end]
        for lot in self.lots:
            s_edges += [lot.start, lot.end]
            if lot.drive:
                s_edges += lot.drive[:2]
        for middle, half, _ in self.style.junctions:
            for reach in (half, half + 2.2, half + 6.0):
                s_edges += [middle - reach, middle + reach]
        right, left = road.extent
        d_edges = [*np.arange(-right, left, 3.0), left, 0.0]
        for side in (-1, 1):
            for name in ("road", "parking", "verge", "sidewalk"):
                d_edges.append(side * self.zone(side, name)[1])
            outer = self.zone(side, "sidewalk")[1]
            d_edges.append(side * (outer + 13.0))
            for lot in self.lots:
                if lot.side == side:
                    _, whole = _LOT_GROUND[lot.kind]
                    d_edges.append(side * (outer + lot.setback + (1.0 if whole else 0.3)))
        s_sorted = np.unique(np.round([s for s in s_edges if self.start <= s <= self.end], 3))
        d_sorted = np.unique(np.round([d for d in d_edges if -right <= d <= left], 3))
        s_mid = (s_sorted[:-1] + s_sorted[1:]) / 2
        d_mid = (d_sorted[:-1] + d_sorted[1:]) / 2
        kind = np.array([self._kinds(s, d_mid) for s in s_mid])
        tint = {}
        for name in KINDS:
            shade = self.rng.uniform(0.82, 1.15)
            tint[name] = shade * self.rng.uniform(0.94, 1.06, size=3)
        return GroundPlan(s_sorted, d_sorted, kind, tint, seed)
