"""Geometry of one street and the ray caster over it.

Shape letter in this file: N ray.
"""

from __future__ import annotations

import numpy as np
import open3d as o3d

from htcl.datasets.mini.mesh import Mesh
from htcl.datasets.mini.road import Road
from htcl.datasets.mini.styles import StreetStyle

__all__ = ["StreetScene"]


class StreetScene:
    """Geometry of one street.

    Args:
        mesh: All triangles, in world coordinates.
        road: Street surface (the vehicle drives on it).
        style: The kind of street.
        lane: d of the driven lane in metres.
        sun: Unit vector towards the sun.
    """

    def __init__(
        self, mesh: Mesh, road: Road, style: StreetStyle, lane: float, sun: np.ndarray
    ) -> None:
        self.mesh, self.road, self.style, self.lane, self.sun = mesh, road, style, lane, sun
        vertices = np.ascontiguousarray(mesh.corners.reshape(-1, 3), dtype=np.float32)
        triangles = np.arange(len(vertices), dtype=np.uint32).reshape(-1, 3)
        # One thread: the tree of boxes, and so the order of equal hits, is the same each time.
        self._caster = o3d.t.geometry.RaycastingScene(nthreads=1)
        self._caster.add_triangles(o3d.core.Tensor(vertices), o3d.core.Tensor(triangles))

    def cast(
        self, origins: np.ndarray, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find the first surface along each ray.

        Args:
            origins: (N, 3) or (3,) world points.
            directions: (N, 3) world directions of any length.

        Returns:
            Distance (N,) in units of the direction's length, inf without a hit; index of the
            triangle (N,), -1 without a hit; weights of the second and third corner of the triangle
            (N, 2).
        """
        rays = np.empty((len(directions), 6), dtype=np.float32)
        rays[:, :3], rays[:, 3:] = origins, directions
        result = self._caster.cast_rays(o3d.core.Tensor(rays), nthreads=1)
        triangle = result["primitive_ids"].numpy().astype(np.int64)
        distance = result["t_hit"].numpy()
        triangle[~np.isfinite(distance)] = -1
        return distance, triangle, result["primitive_uvs"].numpy()
