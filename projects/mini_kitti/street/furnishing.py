"""Puts houses, fences, trees, vehicles and people on a street layout.

Coordinates are those of road.py: s along the street, d to its left, metres.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from functools import partial

import numpy as np

from mini_kitti.assets.mesh import Mesh
from mini_kitti.assets.people import bicyclist, motorcyclist, person
from mini_kitti.assets.plants import bush, hedge, tree, tree_line
from mini_kitti.assets.raw_labels import RawLabel
from mini_kitti.assets.structures import building, fence, lamp_post, traffic_sign
from mini_kitti.assets.two_wheelers import bicycle, motorcycle
from mini_kitti.assets.vehicles import bus, car, trailer, truck
from mini_kitti.street.ground import GroundPlan
from mini_kitti.street.layout import StreetLayout
from mini_kitti.street.lot import Lot
from mini_kitti.street.placer import Placer
from mini_kitti.street.road import Road
from mini_kitti.street.styles import class_plan

__all__ = ["Furnisher"]


class Furnisher:
    """Chooses what stands where.

    Args:
        road: Street surface.
        layout: Lots and zones.
        plan: Ground cells (for kerb heights).
        rng: Random generator.
        lane: d of the driven lane.
    """

    def __init__(
        self,
        road: Road,
        layout: StreetLayout,
        plan: GroundPlan,
        rng: np.random.Generator,
        lane: float,
    ) -> None:
        self.road, self.layout, self.rng = road, layout, rng
        self.placer = Placer(road, plan, lane, layout.seen_end + 20.0)
        # Mesh and zones of each planned object, by its number in the order of placement.
        self._planned: dict[int, tuple[Mesh, tuple[str, ...]]] = {}

    def furnish(self) -> None:
        """Place everything with the placer."""
        for lot in self.layout.lots:
            self._fill_lot(lot)
        self._wanted_objects()
        for side in (-1, 1):
            self._parked_cars(side)
            self._street_trees(side)
        self._background()

    def clear(self, strips: Sequence[tuple[float, float]], rng: np.random.Generator) -> None:
        """Make room for moving traffic: planned objects move elsewhere, other things go.

        Args:
            strips: (d of the middle, half width) of each strip of the street that must be free.
            rng: A generator of its own leaves the rest of the street as it is without traffic.
        """
        self.rng = rng
        cleared: set[int] = set()
        for strip in strips:
            cleared |= self.placer.clear(*strip)
        for number in sorted(cleared & self._planned.keys()):
            mesh, zones = self._planned[number]
            del self._planned[number]
            beside = [zone for zone in zones if zone not in ("opposite", "edge")]
            zones = (*beside, "parking", "lot", "sidewalk")
            middle = rng.uniform(*self._seen)
            # In a full street something that nobody planned makes room.
            if self._place_near(mesh, zones, middle) or self._place_near(
                mesh, zones, middle, self._planned
            ):
                self._planned[self.placer.count - 1] = mesh, zones

    @property
    def _seen(self) -> tuple[float, float]:
        """First and last s of planned objects."""
        return 7.0, self.layout.seen_end

    def _along(self, side: int) -> float:
        """Direction of traffic on a side of the street."""
        return 0.0 if side < 0 else np.pi

    def _reach(self, side: int) -> float:
        """Extent of the ground on a side of the street."""
        return self.road.extent[0 if side < 0 else 1]

    # Lots -------------------------------------------------------------------------------------

    def _fill_lot(self, lot: Lot) -> None:
        rng, side, style = self.rng, lot.side, self.layout.style
        outer = self.layout.zone(side, "sidewalk")[1]
        front = outer + lot.setback
        yaw = 0.0 if side > 0 else np.pi
        gap = {"row": 0.02, "house": rng.uniform(2.0, 5.0)}.get(lot.kind, rng.uniform(1.0, 4.0))
        depth = rng.uniform(8.0, 12.0)
        if lot.kind != "park" and front + depth < self._reach(side) - 1.0:
            storeys = int(rng.integers(style.storeys[0], style.storeys[1] + 1))
            width = lot.length - gap
            s = lot.middle + (gap / 2 - 0.1 if lot.drive and lot.kind == "house" else 0.0)
            mesh = building(rng, width, depth, storeys)
            self.placer.place(mesh, s, side * front, yaw, tilt=False)
            middle = side * (front + depth / 2)
            self.placer.reserve(s, middle, width / 2 + 0.2, depth / 2 + 0.2)
        if lot.drive and lot.setback > 5.0 and rng.random() < 0.55:
            s = (lot.drive[0] + lot.drive[1]) / 2
            self._try_car(s, side * (outer + 2.8), rng.choice([0.5, -0.5]) * np.pi, (2.4, 1.0))
        if lot.kind == "carpark":
            self._fill_carpark(lot, outer)
        if lot.kind in ("house", "park") and lot.setback > 1.0:
            self._front_border(lot, outer)
        self._garden(lot, outer)

    def _try_car(self, s: float, d: float, yaw: float, half: tuple[float, float]) -> None:
        self.placer.try_place(partial(car, self.rng), s, d, yaw, half)

    def _fill_carpark(self, lot: Lot, outer: float) -> None:
        rng = self.rng
        for row in (outer + 3.2, outer + 9.5):
            for s in np.arange(lot.start + 1.5, lot.end - 1.0, 2.7):
                if rng.random() < self.layout.style.car_rate and row + 2.5 < outer + lot.setback:
                    yaw = rng.choice([0.5, -0.5]) * np.pi + rng.normal(0, 0.04)
                    self._try_car(s + rng.normal(0, 0.1), lot.side * row, yaw, (2.35, 1.0))

    def _front_border(self, lot: Lot, outer: float) -> None:
        """Fence or hedge along the sidewalk, in short pieces that follow bends and hills."""
        rng, borders = self.rng, self.layout.style.borders
        kind = str(rng.choice(list(borders), p=np.array(list(borders.values()))))
        if kind == "open":
            return
        low = lot.drive[1] + 0.1 if lot.drive else lot.start + 0.2
        pieces = max(1, round((lot.end - low) / 3.0))
        edges = np.linspace(low, lot.end - 0.1, pieces + 1)
        seed = int(rng.integers(1 << 31))
        height, depth = rng.uniform(0.9, 1.7), rng.uniform(0.6, 0.9)
        d = lot.side * (outer + 0.35 + (depth / 2 if kind == "hedge" else 0.0))
        yaw = 0.0 if lot.side > 0 else np.pi
        for a, b in itertools.pairwise(edges):
            # The same generator state for each piece: one border has one look.
            own = np.random.default_rng(seed)
            mesh = fence(own, b - a) if kind == "fence" else hedge(own, b - a, height, depth)
            self.placer.place(mesh, (a + b) / 2, d, yaw)
            half_d = 0.25 if kind == "fence" else depth / 2
            self.placer.reserve((a + b) / 2, d, (b - a) / 2, half_d)

    def _garden(self, lot: Lot, outer: float) -> None:
        rng = self.rng
        deep = {"park": 22.0, "plaza": lot.setback, "house": lot.setback}.get(lot.kind, 0.0)
        deep = min(deep, self._reach(lot.side) - 3.0 - outer)
        if deep < 2.0:
            return
        trees = {"park": 5, "plaza": 2, "house": 1}[lot.kind]
        for _ in range(int(rng.integers(trees // 2, trees + 1))):
            s, reach = rng.uniform(lot.start + 1, lot.end - 1), rng.uniform(1.8, deep)
            plant = partial(tree, rng, rng.uniform(4.0, 7.0 if lot.kind == "house" else 10.0))
            self.placer.try_place(plant, s, lot.side * (outer + reach), 0.0, (0.9, 0.9))
        for _ in range(int(rng.integers(0, 5 if lot.kind != "plaza" else 2))):
            s, reach = rng.uniform(lot.start + 1, lot.end - 1), rng.uniform(1.4, deep)
            size = rng.uniform(0.8, 2.0)
            half = (size / 2, size / 2)
            plant = partial(bush, rng, size)
            self.placer.try_place(plant, s, lot.side * (outer + reach), 0.0, half)

    # Street furniture and road users ----------------------------------------------------------

    def _wanted_objects(self) -> None:
        """Place the planned number of each object within the part of the street that is seen."""
        # Long vehicles on the opposite lane would hide half of the street.
        large = ("parking", "lot") if any(self.layout.style.parking) else ("lot", "opposite")
        makers: dict[RawLabel, tuple[Callable[[np.random.Generator], Mesh], tuple[str, ...]]] = {
            RawLabel.TRUCK: (truck, large),
            RawLabel.OTHER_VEHICLE: (_other_vehicle, large),
            RawLabel.CAR: (car, ("opposite", "parking", "lot")),
            RawLabel.SIGN: (traffic_sign, ("sign",)),
            RawLabel.POLE: (lamp_post, ("kerb",)),
            RawLabel.MOTORCYCLIST: (motorcyclist, ("opposite", "edge", "parking")),
            RawLabel.BICYCLIST: (bicyclist, ("edge", "opposite", "sidewalk")),
            RawLabel.MOTORCYCLE: (motorcycle, ("sidewalk", "parking", "lot")),
            RawLabel.BICYCLE: (bicycle, ("wall", "sidewalk", "lot")),
            RawLabel.PERSON: (person, ("sidewalk", "sidewalk", "lot")),
        }
        planned = class_plan(self.layout.style)
        first, last = self._seen
        for label, (make, zones) in makers.items():
            count = planned[label]
            # Even spacing with jitter: each class is seen throughout the drive.
            shares = (np.arange(count) + self.rng.uniform(0, 1, count)) / count
            for middle in first + shares * (last - first):
                mesh = make(self.rng)
                if self._place_near(mesh, zones, middle):
                    self._planned[self.placer.count - 1] = mesh, zones

    def _place_near(
        self,
        mesh: Mesh,
        zones: tuple[str, ...],
        middle: float,
        keep: Collection[int] | None = None,
    ) -> bool:
        """Place a mesh in one of the zones, as near to s = ``middle`` as there is room."""
        first, last = self._seen
        for attempt in range(60):
            s = middle + self.rng.normal(0, 1.0 + 0.4 * attempt)
            zone = str(self.rng.choice(zones))
            if first - 2.0 < s < last and self._try_zone(mesh, zone, s, keep):
                return True
        return False

    def _try_zone(
        self, mesh: Mesh, zone: str, s: float, keep: Collection[int] | None = None
    ) -> bool:
        """Place a mesh in a zone of the street, if there is room."""
        reach = np.abs(mesh.corners[..., :2]).max(axis=(0, 1)) + 0.15
        half = (min(float(reach[0]), 6.5), min(float(reach[1]), 1.4))
        if zone in ("kerb", "sign"):
            half = (0.4, 0.4)
        spot = self._spot(zone, s, half)
        return spot is not None and self.placer.try_place(mesh, s, *spot, half, keep)

    def _spot(self, zone: str, s: float, half: tuple[float, float]) -> tuple[float, float] | None:
        """Draw d and yaw of an object in a zone at s; None if there is no such zone."""
        rng, layout = self.rng, self.layout
        side = int(rng.choice([-1, 1]))
        if zone == "opposite":
            d = layout.style.road_half_width * 0.5
            return None if layout.near_junction(s, 1, 3.0) else (d, np.pi)
        if zone == "edge":
            d = side * (layout.style.road_half_width - 0.45)
            return d, self._along(side) + rng.normal(0, 0.1)
        if layout.near_junction(s, side, 4.0):
            return None
        if zone == "parking":
            inner, outer = layout.zone(side, "parking")
            if outer - inner < 1.0 or layout.near_junction(s, side, 6.0 + half[0]):
                return None
            return side * (inner + outer) / 2, self._along(side) + rng.normal(0, 0.02)
        inner, outer = layout.zone(side, "sidewalk")
        if zone == "lot":
            lot = layout.lot_at(s, side)
            if lot is None or lot.kind not in ("plaza", "carpark", "park"):
                return None
            if lot.setback < half[1] * 2 + 2.0:
                return None
            d = side * (outer + rng.uniform(1.5, min(lot.setback, 11.0) - 1.0))
            return d, rng.uniform(0, 2 * np.pi)
        if outer - inner < 1.0:
            return None
        yaw = rng.choice([0.0, np.pi]) + rng.normal(0, 0.25)
        if zone in ("kerb", "sign"):
            verge = layout.zone(side, "verge")
            d = side * ((verge[0] + verge[1]) / 2 if verge[1] - verge[0] > 0.8 else inner + 0.35)
            # Signs face the traffic of their own side; lamps reach over the street.
            facing = self._along(side) if zone == "sign" else self._along(-side)
            return d, facing + rng.normal(0, 0.08)
        d = side * (outer - 0.5 if zone == "wall" else rng.uniform(inner + 0.5, outer - 0.4))
        return d, yaw

    def _parked_cars(self, side: int) -> None:
        rng, layout = self.rng, self.layout
        inner, outer = layout.zone(side, "parking")
        lane = outer - inner > 1.0
        # Without a parking lane a few cars stand with two wheels on the far edge of the road.
        d = side * ((inner + outer) / 2 if lane else layout.style.road_half_width - 0.95)
        rate = layout.style.car_rate if lane else 0.15
        for s in np.arange(layout.start + 4.0, layout.end - 6.0, 5.4):
            if rng.random() > rate or layout.near_junction(s, side, 8.5):
                continue
            yaw = self._along(side) + rng.normal(0, 0.025)
            self._try_car(s + rng.normal(0, 0.25), d + rng.normal(0, 0.07), yaw, (2.45, 0.95))

    def _street_trees(self, side: int) -> None:
        rng, layout = self.rng, self.layout
        verge, walk = layout.zone(side, "verge"), layout.zone(side, "sidewalk")
        if verge[1] - verge[0] > 0.8:
            d = side * (verge[0] + verge[1]) / 2
        elif walk[1] - walk[0] > 1.0:
            d = side * (walk[0] + 0.55)
        else:
            return
        step = 10.0 / max(layout.style.tree_rate, 0.05)
        tall = rng.uniform(6.5, 9.5)
        for regular in np.arange(layout.start, layout.end, step):
            s = regular + rng.uniform(-0.25, 0.25) * step
            if layout.near_junction(s, side, 3.5):
                continue
            plant = partial(tree, rng, tall * rng.uniform(0.75, 1.2))
            self.placer.try_place(plant, s, d, 0.0, (0.5, 0.5))

    def _background(self) -> None:
        """Close the horizon with far trees beside and at the end of the street."""
        rng, layout = self.rng, self.layout
        for side in (-1, 1):
            reach = self._reach(side) - 3.0
            for s in np.arange(layout.start, layout.end, 24.0):
                if rng.random() < 0.75:
                    line = tree_line(rng, 22.0, rng.uniform(6.0, 11.0))
                    self.placer.place(line, s, side * (reach - rng.uniform(0, 3)))
        line = tree_line(rng, 60.0, 10.0)
        self.placer.place(line, layout.end - 6.0, 0.0, np.pi / 2)


def _other_vehicle(rng: np.random.Generator) -> Mesh:
    return bus(rng) if rng.random() < 0.5 else trailer(rng)
