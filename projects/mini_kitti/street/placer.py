"""Puts objects on the ground of a street without overlap.

Coordinates are those of road.py: s along the street, d to its left, metres.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from mini_kitti.assets.mesh import Mesh
from mini_kitti.street.ground import GroundPlan
from mini_kitti.street.road import Road

__all__ = ["Placer"]

# Half of the corridor that the drive needs, metres.
_EGO_HALF_WIDTH = 1.35


class Placer:
    """Knows which ground is taken, and keeps the driven corridor free.

    Args:
        road: Street surface.
        plan: Ground cells (for kerb heights).
        lane: d of the driven lane.
        lane_end: The lane is kept free before this s.
    """

    def __init__(self, road: Road, plan: GroundPlan, lane: float, lane_end: float) -> None:
        self.road, self.plan, self.lane, self.lane_end = road, plan, lane, lane_end
        self._meshes: list[Mesh | None] = []
        self._taken = np.zeros((0, 4))
        # Of what try_place placed: index into _meshes, row of _taken.
        self._movable: list[tuple[int, int]] = []

    @property
    def meshes(self) -> list[Mesh]:
        """Everything that was placed, in world coordinates."""
        return [mesh for mesh in self._meshes if mesh is not None]

    def place(self, mesh: Mesh, s: float, d: float, yaw: float = 0.0, tilt: bool = True) -> None:
        """Put a mesh on the ground; arguments as in :meth:`posed`."""
        self._meshes.append(self.posed(mesh, s, d, yaw, tilt))

    def posed(self, mesh: Mesh, s: float, d: float, yaw: float = 0.0, tilt: bool = True) -> Mesh:
        """Return a mesh standing on the ground, in world coordinates.

        Args:
            mesh: In its local frame.
            s: Where, along the street.
            d: Where, across the street.
            yaw: Direction of the local x axis relative to the street (radians).
            tilt: Shear the mesh so that it follows the slope of the ground along its own x axis.
        """
        if tilt:
            step = np.array([-1.0, 1.0])
            ends = self.road.elevation(s + step * np.cos(yaw), d + step * np.sin(yaw))
            mesh = mesh.placed(np.zeros(3))
            mesh.corners[..., 2] += mesh.corners[..., 0] * (ends[1] - ends[0]) / 2
        position = self.road.world(s, d, self.plan.height(s, d))
        return mesh.placed(position, float(self.road.heading(s)) + yaw)

    def reserve(self, s: float, d: float, half_s: float, half_d: float) -> None:
        """Take a rectangle, given by its middle and its half extents along and across."""
        self._taken = np.vstack([self._taken, (s, d, half_s, half_d)])

    def try_place(
        self,
        thing: Mesh | Callable[[], Mesh],
        s: float,
        d: float,
        yaw: float,
        half: tuple[float, float],
        keep: Collection[int] | None = None,
    ) -> bool:
        """Place a mesh (a function makes it when it is needed) if there is room.

        Args:
            thing: In its local frame.
            s: Where, along the street.
            d: Where, across the street.
            yaw: Direction of the local x axis relative to the street (radians).
            half: Half extents along the local x and y axes.
            keep: Numbers of the placed things that stay; the others may make room, None: none does.

        Returns:
            Whether there was room.
        """
        cos, sin = abs(np.cos(yaw)), abs(np.sin(yaw))
        half_s, half_d = cos * half[0] + sin * half[1], sin * half[0] + cos * half[1]
        if abs(d - self.lane) < _EGO_HALF_WIDTH + half_d and s < self.lane_end:
            return False
        far = np.abs(self._taken[:, :2] - (s, d)) >= self._taken[:, 2:] + (half_s, half_d)
        blocking = set(np.flatnonzero(~far.any(axis=1)).tolist())
        if blocking:
            rows = {row: number for number, (_, row) in enumerate(self._movable)}
            if keep is None or any(rows.get(row, -1) in (-1, *keep) for row in blocking):
                return False
            for row in blocking:
                self._remove(rows[row])
        self.place(thing if isinstance(thing, Mesh) else thing(), s, d, yaw)
        self.reserve(s, d, half_s, half_d)
        self._movable.append((len(self._meshes) - 1, len(self._taken) - 1))
        return True

    def is_taken(self, places: np.ndarray, half: np.ndarray) -> bool:
        """Say whether something stands where a rectangle of half extents (2,) comes.

        Args:
            places: (N, 2) s, d of the middles of the rectangle.
            half: (2,) along and across the street.
        """
        gap = np.abs(places[:, None] - self._taken[:, :2]) - self._taken[:, 2:]
        return bool((gap < half).all(axis=2).any())

    def clear(self, d: float, half: float) -> set[int]:
        """Take away all that stands on a strip along the whole street.

        Only what :meth:`try_place` placed is taken away, which is all that may stand on a road.

        Args:
            d: Middle of the strip.
            half: Half of its width in metres.

        Returns:
            Numbers of the taken things, in the order in which they were placed.
        """
        cleared = {
            number
            for number, (index, row) in enumerate(self._movable)
            if self._meshes[index] is not None
            and abs(self._taken[row, 1] - d) < self._taken[row, 3] + half
        }
        for number in cleared:
            self._remove(number)
        return cleared

    def _remove(self, number: int) -> None:
        index, row = self._movable[number]
        self._meshes[index] = None
        self._taken[row] = (np.inf, np.inf, 0.0, 0.0)

    @property
    def count(self) -> int:
        """How many things :meth:`try_place` has placed, the cleared ones included."""
        return len(self._movable)
