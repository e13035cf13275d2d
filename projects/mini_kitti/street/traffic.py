"""Moving traffic: what drives, rides and walks on a street, and where it is at each moment.

Coordinates are those of road.py: s along the street, d to its left, metres. Times are in seconds;
frame 0 is taken at time 0. Shape letters in this file: K corner of a path; T time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from mini_kitti.assets.mesh import Mesh
from mini_kitti.assets.people import bicyclist, person
from mini_kitti.assets.raw_labels import MovingLabel
from mini_kitti.assets.vehicles import car
from mini_kitti.street.layout import StreetLayout
from mini_kitti.street.placer import Placer

__all__ = ["Drive", "Mover", "Path", "TrafficPlanner"]

_FRAME_TIME = 0.1  # seconds between the moments for which paths are checked
_TURN_TIME = 0.25  # seconds before and after a corner of a path during which a mover turns
_STEP = 0.28  # metres from hip to foot of a walker, at most
_EGO_HALF = (2.6, 0.95)  # half extents of the driven car
_TRIES = 80
# Half extents along and across, metres, with room for the longest and widest.
_HALF = {
    MovingLabel.CAR: (2.6, 0.98),
    MovingLabel.BICYCLIST: (0.95, 0.35),
    MovingLabel.PERSON: (0.4, 0.4),
}


@dataclass(frozen=True)
class Drive:
    """The drive of the car with the sensors.

    Attributes:
        speed: Metres a second along the street.
        first: Time of the first scan that ground truth is made of.
        last: Time of the last one.
        end: Time of the last stored frame.
    """

    speed: float
    first: float
    last: float
    end: float

    @property
    def times(self) -> np.ndarray:
        """All moments (T,) at which the sensors look."""
        return np.arange(self.first, self.last + _FRAME_TIME, _FRAME_TIME)


@dataclass(frozen=True)
class Path:
    """A way with corners that something goes at a constant speed; before and after, it stands.

    Attributes:
        times: (K,) when it is at the corners, increasing.
        corners: (K, 2) s, d of the corners.
    """

    times: np.ndarray
    corners: np.ndarray

    @classmethod
    def through(cls, corners: ArrayLike, speed: float, corner: int, time: float) -> Path:
        """Make the path that is at one of its corners at a time.

        Args:
            corners: (K, 2) s, d, metres.
            speed: Metres a second, in street coordinates.
            corner: Which corner.
            time: When.
        """
        points = np.asarray(corners, dtype=np.float64)
        legs = np.linalg.norm(np.diff(points, axis=0), axis=1) / speed
        times = np.concatenate([[0.0], np.cumsum(legs)])
        return cls(times - times[corner] + time, points)

    def at(self, time: ArrayLike) -> np.ndarray:
        """Return the places (..., 2) as s, d at times (...)."""
        moments = np.asarray(time, dtype=np.float64)
        s, d = (np.interp(moments, self.times, column) for column in self.corners.T)
        return np.stack([s, d], axis=-1)

    def yaw(self, time: float) -> float:
        """Return the direction of motion relative to the street (radians)."""
        step = self.at(time + _TURN_TIME) - self.at(time - _TURN_TIME)
        return float(np.arctan2(step[1], step[0]))


@dataclass(frozen=True)
class Mover:
    """Something that moves.

    Attributes:
        label: Its raw id.
        speed: Metres a second, in street coordinates: on the outside of a bend the way is longer.
        path: Where it is when.
        mesh: In its local frame.
        other_step: The same triangles with the other foot ahead, for walkers.
    """

    label: MovingLabel
    speed: float
    path: Path
    mesh: Mesh
    other_step: Mesh | None = None

    def posed(self, placer: Placer, time: float) -> Mesh:
        """Return its mesh at a time, standing on the ground, in world coordinates."""
        mesh = self.mesh
        if self.other_step is not None:
            # A foot comes forward again after two steps.
            phase = 2 * np.pi * time * self.speed / (4 * _STEP)
            share = (1 - np.cos(phase)) / 2
            corners = (1 - share) * mesh.corners + share * self.other_step.corners
            normals = (1 - share) * mesh.normals + share * self.other_step.normals
            mesh = replace(mesh, corners=corners, normals=normals)
        s, d = self.path.at(time)
        return placer.posed(mesh, float(s), float(d), self.path.yaw(time))


class TrafficPlanner:
    """Chooses what moves where, so that nothing runs into anything at any time of the drive.

    Args:
        rng: Random generator.
        layout: The street.
        placer: Knows what stands where.
        lane: d of the driven lane.
        drive: The drive of the car with the sensors.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        layout: StreetLayout,
        placer: Placer,
        lane: float,
        drive: Drive,
    ) -> None:
        self.rng, self.layout, self.placer, self.drive = rng, layout, placer, drive
        self.lane = lane
        self.edge = layout.style.road_half_width - 0.45
        self.movers: list[Mover] = []
        times = drive.times
        ego = np.column_stack([drive.speed * times, np.full(len(times), lane)])
        # Where (T, 2) the driven car and the movers are, and the half extents that they keep free.
        self._others = [(ego, np.add(_EGO_HALF, (2.0, 0.0)))]

    def strips(self) -> list[tuple[float, float]]:
        """Return (d of the middle, half width) of what vehicles need free of standing things."""
        vehicles, bicycles = _HALF[MovingLabel.CAR][1] + 0.1, _HALF[MovingLabel.BICYCLIST][1] + 0.1
        strips = [(self.lane, vehicles), (-self.lane, vehicles)]
        return [*strips, (-self.edge, bicycles), (self.edge, bicycles)]

    def plan(self) -> list[Mover]:
        """Place the number of movers that the style of the street wants, as far as there is room.

        The strips must be free.
        """
        makers = {
            MovingLabel.CAR: self._car,
            MovingLabel.BICYCLIST: self._bicyclist,
            MovingLabel.PERSON: self._person,
        }
        for label, count in self.layout.style.movers.items():
            for number in range(count):
                for _ in range(_TRIES):
                    speed, path = makers[label](number)
                    if self._is_free(label, path):
                        self.movers.append(self._mover(label, speed, path))
                        places = path.at(self.drive.times)
                        self._others.append((places, np.add(_HALF[label], (1.0, 0.1))))
                        break
        return self.movers

    def _mover(self, label: MovingLabel, speed: float, path: Path) -> Mover:
        seed = int(self.rng.integers(1 << 31))
        mesh, other = _mesh(label, seed)
        return Mover(label, speed, path, mesh, other)

    def _straight(self, s: float, d: float, velocity: float) -> Path:
        """Make the path along the street that is at s at time 0."""
        first, last = self.drive.first - 1.0, self.drive.last + 1.0
        corners = [(s + velocity * first, d), (s, d), (s + velocity * last, d)]
        return Path.through(corners, abs(velocity), 1, 0.0)

    def _car(self, number: int) -> tuple[float, Path]:
        rng = self.rng
        if number == 0 and rng.random() < 0.7:
            # The car ahead: a little faster, so that it is never reached.
            speed = self.drive.speed + rng.uniform(0.0, 1.2)
            return speed, self._straight(rng.uniform(10.0, 22.0), self.lane, speed)
        speed = rng.uniform(7.0, 13.0)
        # Met during the drive, or a little later: then it is seen from afar.
        met = rng.uniform(0.0, 1.6 * self.drive.end + 1.0)
        s = (self.drive.speed + speed) * met
        return speed, self._straight(s, -self.lane, -speed)

    def _bicyclist(self, number: int) -> tuple[float, Path]:
        rng = self.rng
        speed, side = rng.uniform(3.5, 6.5), int(rng.choice([-1, 1]))
        velocity = -speed * side
        met = rng.uniform(0.3, 1.6 * self.drive.end + 1.0)
        s = (self.drive.speed - velocity) * met
        return speed, self._straight(s, side * (self.edge + rng.uniform(-0.1, 0.1)), velocity)

    def _person(self, number: int) -> tuple[float, Path]:
        rng, layout = self.rng, self.layout
        speed, side = rng.uniform(1.0, 1.8), int(rng.choice([-1, 1]))
        near, far = self._walk(side), self._walk(-side)
        s = rng.uniform(8.0, self.drive.speed * self.drive.end + 30.0)
        long = speed * (self.drive.last - self.drive.first) + 10.0
        along = long * rng.choice([-1.0, 1.0])
        if number % 2 and layout.zone(side, "sidewalk")[1] - layout.zone(side, "sidewalk")[0] > 1:
            corners = [(s - along, near), (s, near), (s + along, near)]
        else:
            corners = [(s - along, near), (s, near), (s, far), (s + along, far)]
        return speed, Path.through(corners, speed, 1, rng.uniform(-3.0, self.drive.end))

    def _walk(self, side: int) -> float:
        """Draw d of a way beside the road; behind trees and lamps where there is a sidewalk."""
        inner, outer = self.layout.zone(side, "sidewalk")
        middle = inner + 0.7 * (outer - inner) if outer - inner > 1.0 else inner + 0.6
        return side * (middle + float(self.rng.uniform(-0.2, 0.2)))

    def _is_free(self, label: MovingLabel, path: Path) -> bool:
        """Say whether nothing stands or comes in the way during the drive."""
        places, half = path.at(self.drive.times), np.array(_HALF[label])
        s = places[:, 0]
        if s.min() < self.layout.start + 8.0 or s.max() > self.layout.end - 14.0:
            return False
        meets = any(
            (np.abs(places - where) < half + size).all(axis=1).any() for where, size in self._others
        )
        return not meets and not self.placer.is_taken(places, half)


def _mesh(label: MovingLabel, seed: int) -> tuple[Mesh, Mesh | None]:
    """Make what moves and, for a walker, the same person with the other foot ahead."""

    def generator() -> np.random.Generator:
        return np.random.default_rng(seed)

    def marked(mesh: Mesh) -> Mesh:
        return replace(mesh, label=np.full_like(mesh.label, int(label)))

    if label == MovingLabel.PERSON:
        first, second = (person(generator(), step) for step in (_STEP, -_STEP))
        return marked(first), marked(second)
    return marked((car if label == MovingLabel.CAR else bicyclist)(generator())), None
