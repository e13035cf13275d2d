"""Weather of a street: sky, sun and the map of its shadows.

Shape letters in this file: A, B cells of the shadow map.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mini_kitti.street.scene import StreetScene

__all__ = ["SHADOW_CELL", "Light"]

SHADOW_CELL = 0.12  # metres
_TOP = 250.0  # metres towards the sun from where shadows are traced


class Light(NamedTuple):
    """Sky, sun and shadow map of a scene, in a form that compiled code can read.

    Attributes:
        sun: (3,) unit vector to the sun.
        sunshine: Strength of the sun.
        skylight: Strength of the light from the whole sky.
        haze: Density in 1/metre.
        clouds: Share of clouds.
        zenith: (3,) sRGB of the sky overhead.
        horizon: (3,) sRGB of the sky at the horizon.
        axes: (2, 3) unit vectors across the sun's direction.
        corner: (2,) smallest coordinate of the shadow map along the axes, metres.
        heights: (A, B) float32, distance towards the sun of the first surface seen from the sun.
        seed: Of the clouds.
    """

    sun: np.ndarray
    sunshine: float
    skylight: float
    haze: float
    clouds: float
    zenith: np.ndarray
    horizon: np.ndarray
    axes: np.ndarray
    corner: np.ndarray
    heights: np.ndarray
    seed: int

    @classmethod
    def of_scene(cls, scene: StreetScene, seed: int, reach: tuple[float, float]) -> Light:
        """Draw the weather of a scene and trace its shadow map.

        Args:
            scene: The street.
            seed: Seed of the weather.
            reach: First and last s (metres) for which cast shadows are computed.
        """
        rng = np.random.default_rng(seed)
        overcast = rng.random() < 0.25
        sunshine = rng.uniform(0.35, 0.55) if overcast else rng.uniform(1.15, 1.5)
        skylight = rng.uniform(0.75, 0.9) if overcast else rng.uniform(0.45, 0.6)
        haze = rng.uniform(0.0008, 0.003)
        clouds = 0.9 if overcast else rng.uniform(0.2, 0.55)
        blue = rng.uniform(0.0, 1.0)
        zenith = np.array([0.28 + 0.12 * blue, 0.45 + 0.1 * blue, 0.78])
        if overcast:
            zenith = np.array([0.66, 0.69, 0.74])
        horizon = np.array([0.78, 0.84, 0.90]) * rng.uniform(0.95, 1.05)
        return cls(
            scene.sun,
            sunshine,
            skylight,
            haze,
            clouds,
            zenith,
            horizon,
            *_shadow_map(scene, reach),
            seed=int(rng.integers(1 << 16)),
        )

    def with_moving(self, scene: StreetScene) -> Light:
        """Return the light with the shadows of what moves, where it is now.

        Args:
            scene: The street, without shadows of movers in this light.
        """
        corners = scene.mesh.corners[scene.num_static :].reshape(-1, 3)
        if not len(corners):
            return self
        heights = self.heights.copy()
        ends = np.cumsum([3 * len(mover.mesh) for mover in scene.movers])
        for part in np.split(corners, ends[:-1]):
            cells = (part @ self.axes.T - self.corner) / SHADOW_CELL
            low = np.maximum(np.floor(cells.min(axis=0)).astype(int), 0)
            high = np.minimum(np.ceil(cells.max(axis=0)).astype(int) + 1, heights.shape)
            if (low < high).all():
                grid = np.mgrid[low[0] : high[0], low[1] : high[1]].reshape(2, -1).T
                starts = (self.corner + SHADOW_CELL * grid) @ self.axes + _TOP * self.sun
                found = _TOP - scene.cast_moving(starts, np.tile(-self.sun, (len(grid), 1)))
                patch = heights[low[0] : high[0], low[1] : high[1]]
                np.maximum(patch, found.reshape(patch.shape), out=patch)
        return self._replace(heights=heights)


def _shadow_map(
    scene: StreetScene, reach: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return axes, corner and heights of :class:`Light`."""
    sun = scene.sun
    side = np.cross(sun, [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(sun, side)])
    s, d = np.meshgrid(np.linspace(*reach, 40), np.array([-26.0, 0.0, 26.0]))
    flat = scene.road.world(s, d).reshape(-1, 3) @ axes.T
    corner, far = flat.min(axis=0) - 3.0, flat.max(axis=0) + 3.0
    a, b = (np.arange(corner[k], far[k], SHADOW_CELL) for k in range(2))
    grid = a[:, None, None] * axes[0] + b[None, :, None] * axes[1]
    distance = scene.cast_static(
        (grid + _TOP * sun).reshape(-1, 3), np.tile(-sun, (len(a) * len(b), 1))
    )
    heights = np.where(np.isfinite(distance), _TOP - distance, -1e3)
    return axes, corner, heights.reshape(len(a), len(b)).astype(np.float32)
