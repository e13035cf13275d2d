"""Puts objects on the ground of a street without overlap.

Coordinates are those of road.py: s along the street, d to its left, metres.
"""

from __future__ import annotations

from collections.abc import Callable

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
        self.meshes: list[Mesh] = []
        self._taken = np.zeros((0, 4))

    def place(self, mesh: Mesh, s: float, d: float, yaw: float = 0.0, tilt: bool = True) -> None:
        """Put a mesh on the ground, in world coordinates, into ``meshes``.

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
        self.meshes.append(mesh.placed(position, float(self.road.heading(s)) + yaw))

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
    ) -> bool:
        """Place a mesh (a function makes it when it is needed) if there is room.

        Args:
            thing: In its local frame.
            s: Where, along the street.
            d: Where, across the street.
            yaw: Direction of the local x axis relative to the street (radians).
            half: Half extents along the local x and y axes.

        Returns:
            Whether there was room.
        """
        cos, sin = abs(np.cos(yaw)), abs(np.sin(yaw))
        half_s, half_d = cos * half[0] + sin * half[1], sin * half[0] + cos * half[1]
        if abs(d - self.lane) < _EGO_HALF_WIDTH + half_d and s < self.lane_end:
            return False
        far = np.abs(self._taken[:, :2] - (s, d)) >= self._taken[:, 2:] + (half_s, half_d)
        if not far.any(axis=1).all():
            return False
        self.place(thing if isinstance(thing, Mesh) else thing(), s, d, yaw)
        self.reserve(s, d, half_s, half_d)
        return True
