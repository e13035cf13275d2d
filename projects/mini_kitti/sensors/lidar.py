"""A 64-beam spinning lidar."""

from __future__ import annotations

import numpy as np

from mini_kitti.assets.materials import REMISSION, Material
from mini_kitti.street.scene import StreetScene

__all__ = ["scan_street"]

NUM_BEAMS = 64
TOP_ANGLE, BOTTOM_ANGLE = 2.0, -24.8  # degrees
MAX_RANGE = 80.0
RANGE_NOISE = 0.02  # metres, one standard deviation


def scan_street(
    scene: StreetScene,
    world_from_lidar: np.ndarray,
    rng: np.random.Generator,
    num_azimuths: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Scan all around once; the car stands still meanwhile.

    Args:
        scene: The street.
        world_from_lidar: (4, 4) pose.
        rng: Of range noise and lost returns.
        num_azimuths: Steps of a turn.

    Returns:
        Points (N, 4) float32 x, y, z, remission in the lidar frame, and raw ids (N,) uint32.
    """
    elevation = np.radians(np.linspace(TOP_ANGLE, BOTTOM_ANGLE, NUM_BEAMS))
    azimuth = 2 * np.pi * (np.arange(num_azimuths) + rng.uniform(0, 1)) / num_azimuths
    directions = np.stack(
        [
            np.cos(elevation)[:, None] * np.cos(azimuth),
            np.cos(elevation)[:, None] * np.sin(azimuth),
            np.repeat(np.sin(elevation)[:, None], num_azimuths, axis=1),
        ],
        axis=-1,
    ).reshape(-1, 3)
    distance, triangle, _ = scene.cast(
        world_from_lidar[:3, 3], directions @ world_from_lidar[:3, :3].T
    )
    noise = rng.normal(0.0, RANGE_NOISE, size=len(directions))
    # Few returns come from far away, from glass or by bad luck.
    loss = rng.random(len(directions))
    returned = (triangle >= 0) & (distance < MAX_RANGE)
    triangle, distance = triangle[returned], distance[returned]
    material = scene.mesh.material[triangle]
    chance = np.where(material == int(Material.GLASS), 0.45, 0.03) + distance / 400.0
    kept = loss[returned] > chance
    triangle, material = triangle[kept], material[kept]
    distance = distance[kept] + noise[returned][kept]
    rays = directions[returned][kept]
    bright = scene.mesh.color[triangle].sum(axis=1) / 3
    remission = np.clip(REMISSION[material] * (0.6 + 0.8 * bright), 0.0, 1.0)
    points = np.column_stack([rays * distance[:, None], remission]).astype(np.float32)
    return points, scene.mesh.label[triangle].astype(np.uint32)
