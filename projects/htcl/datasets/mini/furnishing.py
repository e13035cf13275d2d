"""Puts houses, fences, trees, vehicles and people on a street layout.

Coordinates are those of road.py: s along the street, d to its left, metres.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from htcl.datasets.mini.ground import GroundPlan
from htcl.datasets.mini.layout import StreetLayout
from htcl.datasets.mini.lot import Lot
from htcl.datasets.mini.mesh import Mesh
from htcl.datasets.mini.people import bicyclist, motorcyclist, person
from htcl.datasets.mini.plants import bush, hedge, tree, tree_line
from htcl.datasets.mini.raw_labels import RawLabel
from htcl.datasets.mini.road import Road
from htcl.datasets.mini.structures import building, fence, lamp_post, traffic_sign
from htcl.datasets.mini.styles import class_plan
from htcl.datasets.mini.two_wheelers import bicycle, motorcycle
from htcl.datasets.mini.vehicles import bus, car, trailer, truck

__all__ = ["Furnisher"]

Maker = Callable[[np.random.Generator], Mesh]

# Half of the corridor that the drive needs, metres.
_EGO_HALF_WIDTH = 1.35


class Furnisher:
    """Places assets without overlap and keeps the driven corridor free.

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
        self.road, self.layout, self.plan, self.rng, self.lane = road, layout, plan, rng, lane
        self.meshes: list[Mesh] = []
        self.placed: dict[RawLabel, int] = {}
        self._taken = np.zeros((0, 4))

    def furnish(self) -> list[Mesh]:
        """Place everything and return the meshes in world coordinates."""
        for lot in self.layout.lots:
            self._fill_lot(lot)
        self._wanted_objects()
        for side in (-1, 1):
            self._parked_cars(side)
            self._street_trees(side)
        self._background()
        return self.meshes

    def is_free(self, s: float, d: float, half_s: float, half_d: float) -> bool:
        """Say whether a rectangle in street coordinates overlaps nothing that was placed."""
        if abs(d - self.lane) < _EGO_HALF_WIDTH + half_d and s < self.layout.seen_end + 20.0:
            return False
        far = np.abs(self._taken[:, :2] - (s, d)) >= self._taken[:, 2:] + (half_s, half_d)
        return bool(far.any(axis=1).all())

    def place(
        self,
        mesh: Mesh,
        s: float,
        d: float,
        yaw: float = 0.0,
        half: tuple[float, float] | None = None,
        tilt: bool = True,
    ) -> None:
        """Put a mesh on the ground.

        Args:
            mesh: In its local frame.
            s: Where, along the street.
            d: Where, across the street.
            yaw: Direction of the local x axis relative to the street (radians).
            half: Half extents along and across the street to reserve; None reserves nothing.
            tilt: Shear the mesh so that it follows the slope of the ground along its own x axis.
        """
        if tilt:
            step = np.array([-1.0, 1.0])
            ends = self.road.elevation(s + step * np.cos(yaw), d + step * np.sin(yaw))
            mesh = mesh.placed(np.zeros(3))
            mesh.corners[..., 2] += mesh.corners[..., 0] * (ends[1] - ends[0]) / 2
        position = self.road.world(s, d, self.plan.height(s, d))
        self.meshes.append(mesh.placed(position, float(self.road.heading(s)) + yaw))
        if half is not None:
            self._taken = np.vstack([self._taken, (s, d, *half)])

    def _try(self, make: Maker, s: float, d: float, yaw: float, half: tuple[float, float]) -> bool:
        """Place ``make(rng)`` if there is room."""
        along = abs(np.cos(yaw)) * half[0] + abs(np.sin(yaw)) * half[1]
        across = abs(np.sin(yaw)) * half[0] + abs(np.cos(yaw)) * half[1]
        if not self.is_free(s, d, along, across):
            return False
        self.place(make(self.rng), s, d, yaw, (along, across))
        return True

    def _along(self, side: int) -> float:
        """Direction of traffic on a side of the street."""
        return 0.0 if side < 0 else np.pi

    # Lots -------------------------------------------------------------------------------------

    def _fill_lot(self, lot: Lot) -> None:
        rng, side = self.rng, lot.side
        outer = self.layout.zone(side, "sidewalk")[1]
        front = outer + lot.setback
        room = self.road.extent[0 if side < 0 else 1] - 1.0
        yaw = 0.0 if side > 0 else np.pi
        gap = {"row": 0.02, "house": rng.uniform(2.0, 5.0)}.get(lot.kind, rng.uniform(1.0, 4.0))
        depth = rng.uniform(8.0, 12.0)
        if lot.kind != "park" and front + depth < room:
            storeys = int(
                rng.integers(self.layout.style.storeys[0], self.layout.style.storeys[1] + 1)
            )
            width = lot.length - gap
            s = lot.middle + (gap / 2 - 0.1 if lot.drive and lot.kind == "house" else 0.0)
            mesh = building(rng, width, depth, storeys)
            middle = side * (front + depth / 2)
            self.place(mesh, s, side * front, yaw, None, tilt=False)
            self._taken = np.vstack([self._taken, (s, middle, width / 2 + 0.2, depth / 2 + 0.2)])
        if lot.drive and lot.setback > 5.0 and rng.random() < 0.55:
            s = (lot.drive[0] + lot.drive[1]) / 2
            self._try(car, s, side * (outer + 2.8), rng.choice([0.5, -0.5]) * np.pi, (2.4, 1.0))
        if lot.kind == "carpark":
            self._fill_carpark(lot, outer)
        if lot.kind in ("house", "park") and lot.setback > 1.0:
            self._front_border(lot, outer)
        self._garden(lot, outer, front)

    def _fill_carpark(self, lot: Lot, outer: float) -> None:
        rng = self.rng
        for row in (outer + 3.2, outer + 9.5):
            for s in np.arange(lot.start + 1.5, lot.end - 1.0, 2.7):
                if rng.random() < self.layout.style.car_rate and row + 2.5 < outer + lot.setback:
                    yaw = rng.choice([0.5, -0.5]) * np.pi + rng.normal(0, 0.04)
                    self._try(car, s + rng.normal(0, 0.1), lot.side * row, yaw, (2.35, 1.0))

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
            length = b - a
            mesh = fence(own, length) if kind == "fence" else hedge(own, length, height, depth)
            self.place(
                mesh, (a + b) / 2, d, yaw, (length / 2, 0.25 if kind == "fence" else depth / 2)
            )

    def _garden(self, lot: Lot, outer: float, front: float) -> None:
        rng = self.rng
        deep = {"park": 22.0, "plaza": lot.setback, "house": lot.setback}.get(lot.kind, 0.0)
        room = self.road.extent[0 if lot.side < 0 else 1] - 3.0
        deep = min(deep, room - outer)
        if deep < 2.0:
            return
        trees = {"park": 5, "plaza": 2, "house": 1}[lot.kind]
        for _ in range(int(rng.integers(trees // 2, trees + 1))):
            s, reach = rng.uniform(lot.start + 1, lot.end - 1), rng.uniform(1.8, deep)
            height = rng.uniform(4.0, 7.0 if lot.kind == "house" else 10.0)
            self._try(
                lambda g, h=height: tree(g, h), s, lot.side * (outer + reach), 0.0, (0.9, 0.9)
            )
        for _ in range(int(rng.integers(0, 5 if lot.kind != "plaza" else 2))):
            s, reach = rng.uniform(lot.start + 1, lot.end - 1), rng.uniform(1.4, deep)
            size = rng.uniform(0.8, 2.0)
            self._try(
                lambda g, x=size: bush(g, x), s, lot.side * (outer + reach), 0.0, (size / 2,) * 2
            )

    # Street furniture and road users ----------------------------------------------------------

    def _wanted_objects(self) -> None:
        """Place the planned number of each object within the part of the street that is seen."""
        # Long vehicles on the opposite lane would hide half of the street.
        large = ("parking", "lot") if any(self.layout.style.parking) else ("lot", "opposite")
        makers = {
            RawLabel.TRUCK: (truck, large),
            RawLabel.OTHER_VEHICLE: (self._other_vehicle, large),
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
        first, last = 7.0, self.layout.seen_end
        for label, (make, zones) in makers.items():
            count = planned[label]
            # Even spacing with jitter: each class is seen throughout the drive.
            shares = (np.arange(count) + self.rng.uniform(0, 1, count)) / count
            for spot in first + shares * (last - first):
                mesh = make(self.rng)
                for attempt in range(60):
                    s = spot + self.rng.normal(0, 1.0 + 0.4 * attempt)
                    zone = str(self.rng.choice(zones))
                    if first - 2.0 < s < last and self._try_zone(mesh, zone, s):
                        self.placed[label] = self.placed.get(label, 0) + 1
                        break

    def _other_vehicle(self, rng: np.random.Generator) -> Mesh:
        return bus(rng) if rng.random() < 0.5 else trailer(rng)

    def _try_zone(self, mesh: Mesh, zone: str, s: float) -> bool:
        """Place a mesh at a suitable d for a zone of the street, if there is room."""
        rng, layout = self.rng, self.layout
        reach = np.abs(mesh.corners[..., :2]).max(axis=(0, 1)) + 0.15
        half = (min(float(reach[0]), 6.5), min(float(reach[1]), 1.4))
        side = int(rng.choice([-1, 1]))
        if zone == "opposite":
            d = layout.style.road_half_width * 0.5
            return not layout.near_junction(s, 1, 3.0) and self._try(
                lambda _: mesh, s, d, np.pi, half
            )
        if zone == "edge":
            d = side * (layout.style.road_half_width - 0.45)
            return self._try(lambda _: mesh, s, d, self._along(side) + rng.normal(0, 0.1), half)
        if layout.near_junction(s, side, 4.0):
            return False
        if zone == "parking":
            inner, outer = layout.zone(side, "parking")
            if outer - inner < 1.0 or layout.near_junction(s, side, 6.0 + half[0]):
                return False
            d = side * (inner + outer) / 2
            return self._try(lambda _: mesh, s, d, self._along(side) + rng.normal(0, 0.02), half)
        if zone == "lot":
            lot = layout.lot_at(s, side)
            if (
                lot is None
                or lot.setback < half[1] * 2 + 2.0
                or lot.kind not in ("plaza", "carpark", "park")
            ):
                return False
            d = side * (
                layout.zone(side, "sidewalk")[1] + rng.uniform(1.5, min(lot.setback, 11.0) - 1.0)
            )
            return self._try(lambda _: mesh, s, d, rng.uniform(0, 2 * np.pi), half)
        inner, outer = layout.zone(side, "sidewalk")
        if outer - inner < 1.0:
            return False
        yaw = rng.choice([0.0, np.pi]) + rng.normal(0, 0.25)
        if zone in ("kerb", "sign"):
            verge = layout.zone(side, "verge")
            d = side * ((verge[0] + verge[1]) / 2 if verge[1] - verge[0] > 0.8 else inner + 0.35)
            # Signs face the traffic of their own side; lamps reach over the street.
            facing = self._along(side) if zone == "sign" else (0.0 if side > 0 else np.pi)
            return self._try(lambda _: mesh, s, d, facing + rng.normal(0, 0.08), (0.4, 0.4))
        d = side * (outer - 0.5 if zone == "wall" else rng.uniform(inner + 0.5, outer - 0.4))
        return self._try(lambda _: mesh, s, d, yaw, half)

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
            self._try(car, s + rng.normal(0, 0.25), d + rng.normal(0, 0.07), yaw, (2.45, 0.95))

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
            height = tall * rng.uniform(0.75, 1.2)
            self._try(lambda g, h=height: tree(g, h), s, d, 0.0, (0.5, 0.5))

    def _background(self) -> None:
        """Close the horizon with far trees beside and at the end of the street."""
        rng, layout = self.rng, self.layout
        for side in (-1, 1):
            reach = self.road.extent[0 if side < 0 else 1] - 3.0
            for s in np.arange(layout.start, layout.end, 24.0):
                if rng.random() < 0.75:
                    line = tree_line(rng, 22.0, rng.uniform(6.0, 11.0))
                    self.place(line, s, side * (reach - rng.uniform(0, 3)), 0.0)
        line = tree_line(rng, 60.0, 10.0)
        self.place(line, layout.end - 6.0, 0.0, np.pi / 2)
