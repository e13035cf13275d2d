"""The whole street of one sequence: its geometry, and the ray caster over it.

Shape letter in this file: N ray.
"""

from __future__ import annotations

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
from mini_kitti.street.road import Road
from mini_kitti.street.styles import style_of

__all__ = ["StreetScene", "build_scene"]

_BEHIND, _AHEAD = 45.0, 115.0  # metres of street behind the start and beyond the end of the drive
_SEEN_AHEAD = 40.0  # planned objects stand at most so far beyond the end of the drive


class StreetScene:
    """Geometry of one street.

    Args:
        mesh: All triangles, in world coordinates.
        road: Street surface (the vehicle drives on it).
        lane: d of the driven lane in metres.
        sun: (3,) unit vector towards the sun.
    """

    def __init__(self, mesh: Mesh, road: Road, lane: float, sun: np.ndarray) -> None:
        self.mesh, self.road, self.lane, self.sun = mesh, road, lane, sun
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


def build_scene(seed: int, sequence: int, drive_length: float) -> StreetScene:
    """Make the street of a sequence.

    Args:
        seed: Seed of the data set.
        sequence: Sequence number; chooses the kind of street and, with the seed, all its details.
        drive_length: Length of the driven way in metres.
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
    furniture = Furnisher(road, layout, plan, rng, lane).furnish()
    # Beyond the street: a plain that the trees of the horizon stand on.
    grass = Surface(RawLabel.TERRAIN, Material.GRASS, (0.33, 0.40, 0.18), seed=1)
    low, far = float(ground.corners[..., 2].min()) - 0.3, 600.0
    corners = [(-far, -far, low), (far, -far, low), (far, far, low), (-far, far, low)]
    plain = quads([corners], grass)
    azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.0)
    sun = np.array(
        [np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)]
    )
    return StreetScene(merge([ground, markings, *furniture, plain]), road, lane, sun)
