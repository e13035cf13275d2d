"""The whole street of one sequence: its geometry, and the ray caster over it.

Shape letters in this file: N ray; F triangle; C chunk of triangles.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
import open3d as o3d

from mini_kitti.assets.materials import Material
from mini_kitti.assets.mesh import Mesh, merge
from mini_kitti.assets.raw_labels import RawLabel
from mini_kitti.assets.solids import quads
from mini_kitti.assets.surface import Surface
from mini_kitti.street.furnishing import Furnisher
from mini_kitti.street.ground import ground_mesh
from mini_kitti.street.layout import StreetLayout
from mini_kitti.street.markings import marking_mesh
from mini_kitti.street.placer import Placer
from mini_kitti.street.road import Road
from mini_kitti.street.styles import style_of
from mini_kitti.street.traffic import Drive, Mover, TrafficPlanner

__all__ = ["StreetScene", "build_scene"]

_BEHIND, _AHEAD = 45.0, 115.0  # metres of street behind the start and beyond the end of the drive
_SEEN_AHEAD = 40.0  # planned objects stand at most so far beyond the end of the drive


_CHUNK = 48  # triangles
_Hits = tuple[np.ndarray, np.ndarray, np.ndarray]


class StreetScene:
    """Geometry of one street at one moment; :meth:`move_to` chooses the moment.

    Args:
        static: All triangles that stay where they are, in world coordinates.
        road: Street surface (the vehicle drives on it).
        lane: d of the driven lane in metres.
        sun: (3,) unit vector towards the sun.
        movers: What moves.
        placer: Puts the movers on the ground; needed if there are any.

    Attributes:
        mesh: All triangles of the moment, those of the movers last.
        vertices: (F, 3, 3) float32, the corners of ``mesh`` as the sensors see them.
        looks: (F, 24) float32, see Mesh.packed.
        chunks: (C, 2) first triangle and end of groups of neighbouring triangles.
        spheres: (C, 4) middle and radius of a sphere around each group.
    """

    def __init__(
        self,
        static: Mesh,
        road: Road,
        lane: float,
        sun: np.ndarray,
        movers: Sequence[Mover] = (),
        placer: Placer | None = None,
    ) -> None:
        self.road, self.lane, self.sun = road, lane, sun
        self.movers, self._placer = movers, placer
        self.num_static = len(static)
        self._caster = _caster(static.corners)
        self._moving_caster = None
        self.mesh = merge([static, *self._moved(0.0)])
        self.vertices = self.mesh.corners.astype(np.float32)
        self.looks = self.mesh.packed()
        parts = ((0, self.num_static), (self.num_static, len(self.mesh)))
        starts = [np.arange(first, end, _CHUNK) for first, end in parts]
        ends = [np.minimum(at + _CHUNK, end) for at, (_, end) in zip(starts, parts, strict=True)]
        self.chunks = np.column_stack([np.concatenate(starts), np.concatenate(ends)])
        self.spheres = _spheres(self.vertices, self.chunks)
        self.move_to(0.0)

    def _moved(self, time: float) -> list[Mesh]:
        placer = self._placer
        return [] if placer is None else [mover.posed(placer, time) for mover in self.movers]

    def move_to(self, time: float) -> None:
        """Move everything that moves to where it is at a time (seconds after frame 0)."""
        if not self.movers:
            return
        moved = merge(self._moved(time))
        tail = slice(self.num_static, None)
        self.mesh.corners[tail], self.mesh.normals[tail] = moved.corners, moved.normals
        self.vertices[tail] = moved.corners
        self.looks[tail] = moved.packed()
        self._moving_caster = _caster(moved.corners)
        moving = self.chunks[:, 0] >= self.num_static
        self.spheres[moving] = _spheres(self.vertices, self.chunks[moving])

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> _Hits:
        """Find the first surface along each ray.

        Args:
            origins: (N, 3) or (3,) world points.
            directions: (N, 3) world directions of any length.

        Returns:
            Distance (N,) in units of the direction's length, inf without a hit; index of the
            triangle (N,), -1 without a hit; weights of the second and third corner of the triangle
            (N, 2).
        """
        rays = _rays(origins, directions)
        first = _cast(self._caster, rays)
        if self._moving_caster is None:
            return first
        moving = _cast(self._moving_caster, rays)
        nearer = moving[0] < first[0]
        first[0][nearer], first[2][nearer] = moving[0][nearer], moving[2][nearer]
        first[1][nearer] = moving[1][nearer] + self.num_static
        return first

    def cast_static(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Return the distance (N,) of the first surface that does not move; see :meth:`cast`."""
        return _cast(self._caster, _rays(origins, directions))[0]

    def cast_moving(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Return the distance (N,) of the first moving surface; see :meth:`cast`."""
        if self._moving_caster is None:
            return np.full(len(directions), np.inf, dtype=np.float32)
        return _cast(self._moving_caster, _rays(origins, directions))[0]


@numba.njit(cache=True)
def _spheres(vertices: np.ndarray, chunks: np.ndarray) -> np.ndarray:
    """Return middle and radius (C, 4) of spheres around chunks (C, 2) of triangles."""
    spheres = np.zeros((len(chunks), 4))
    for c in range(len(chunks)):
        for axis in range(3):
            low, high = np.inf, -np.inf
            for f in range(chunks[c, 0], chunks[c, 1]):
                for corner in range(3):
                    low = min(low, vertices[f, corner, axis])
                    high = max(high, vertices[f, corner, axis])
            spheres[c, axis] = (low + high) / 2
        for f in range(chunks[c, 0], chunks[c, 1]):
            for corner in range(3):
                distance = 0.0
                for axis in range(3):
                    distance += (vertices[f, corner, axis] - spheres[c, axis]) ** 2
                # A millimetre covers the rounding of the corners.
                spheres[c, 3] = max(spheres[c, 3], np.sqrt(distance) + 1e-3)
    return spheres


def _caster(corners: np.ndarray) -> o3d.t.geometry.RaycastingScene:
    """Make the ray caster over triangles (F, 3, 3)."""
    vertices = np.ascontiguousarray(corners.reshape(-1, 3), dtype=np.float32)
    triangles = np.arange(len(vertices), dtype=np.uint32).reshape(-1, 3)
    # One thread: the tree of boxes, and so the order of equal hits, is the same each time.
    caster = o3d.t.geometry.RaycastingScene(nthreads=1)
    caster.add_triangles(o3d.core.Tensor(vertices), o3d.core.Tensor(triangles))
    return caster


def _rays(origins: np.ndarray, directions: np.ndarray) -> o3d.core.Tensor:
    rays = np.empty((len(directions), 6), dtype=np.float32)
    rays[:, :3], rays[:, 3:] = origins, directions
    return o3d.core.Tensor(rays)


def _cast(caster: o3d.t.geometry.RaycastingScene, rays: o3d.core.Tensor) -> _Hits:
    result = caster.cast_rays(rays, nthreads=1)
    triangle = result["primitive_ids"].numpy().astype(np.int64)
    distance = result["t_hit"].numpy()
    triangle[~np.isfinite(distance)] = -1
    return distance, triangle, result["primitive_uvs"].numpy()


def build_scene(
    seed: int, sequence: int, drive_length: float, drive: Drive | None = None
) -> StreetScene:
    """Make the street of a sequence.

    Args:
        seed: Seed of the data set.
        sequence: Sequence number; chooses the kind of street and, with the seed, all its details.
        drive_length: Length of the driven way in metres.
        drive: The drive that moving traffic is made for; None is a street where nothing moves. What
            stands off the road is the same with and without.
    """
    style = style_of(sequence)
    rng = np.random.default_rng([seed, sequence, 1])
    start, end = -_BEHIND, drive_length + _AHEAD
    zones = [sum(widths) for widths in zip(style.parking, style.verge, style.sidewalk, strict=True)]
    flat_half_width = style.road_half_width + max(zones) + 1.0
    road = Road(rng, start, end, style.bends, style.hollow, flat_half_width)
    layout = StreetLayout(style, start, end, drive_length + _SEEN_AHEAD, rng)
    plan = layout.ground_plan(road, seed=int(rng.integers(1 << 20)))
    # Keep right; in a narrow street drive nearer to the middle.
    lane = -max(0.9, 0.5 * style.road_half_width)
    ground = ground_mesh(road, plan)
    markings = marking_mesh(road, layout, rng)
    furnisher = Furnisher(road, layout, plan, rng, lane)
    furnisher.furnish()
    # Beyond the street: a plain that the trees of the horizon stand on.
    grass = Surface(RawLabel.TERRAIN, Material.GRASS, (0.33, 0.40, 0.18), seed=1)
    low, far = float(ground.corners[..., 2].min()) - 0.3, 600.0
    corners = [(-far, -far, low), (far, -far, low), (far, far, low), (-far, far, low)]
    plain = quads([corners], grass)
    azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.0)
    sun = np.array(
        [np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)]
    )
    movers: list[Mover] = []
    if drive is not None:
        traffic_rng = np.random.default_rng([seed, sequence, 2])
        planner = TrafficPlanner(traffic_rng, layout, furnisher.placer, lane, drive)
        furnisher.clear(planner.strips(), traffic_rng)
        movers = planner.plan()
    static = merge([ground, markings, *furnisher.placer.meshes, plain])
    return StreetScene(static, road, lane, sun, movers, furnisher.placer)
