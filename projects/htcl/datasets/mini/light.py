"""Weather of a street: sky, sun and the map of its shadows.

Shape letters in this file: A, B cells of the shadow map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from htcl.datasets.mini.street_scene import StreetScene

__all__ = ["SHADOW_CELL", "Light"]

SHADOW_CELL = 0.12  # metres


@dataclass
class Light:
    """Sky, sun and shadow map of a scene.

    Attributes:
        sun: (3,) unit vector to the sun.
        strength: (4,) sun, sky, haze density in 1/metre, share of clouds.
        zenith: (3,) sRGB of the sky overhead.
        horizon: (3,) sRGB of the sky at the horizon.
        axes: (2, 3) unit vectors across the sun's direction.
        corner: (2,) smallest coordinate of the shadow map along the axes, metres.
        heights: (A, B) distance towards the sun of the first surface seen from the sun.
        seed: Of the clouds.
    """

    sun: np.ndarray
    strength: np.ndarray
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
        sun = scene.sun
        side = np.cross(sun, [0.0, 0.0, 1.0])
        side /= np.linalg.norm(side)
        axes = np.stack([side, np.cross(sun, side)])
        s, d = np.meshgrid(np.linspace(*reach, 40), np.array([-26.0, 0.0, 26.0]))
        flat = scene.road.world(s, d).reshape(-1, 3) @ axes.T
        corner, far = flat.min(axis=0) - 3.0, flat.max(axis=0) + 3.0
        a, b = (np.arange(corner[k], far[k], SHADOW_CELL) for k in range(2))
        grid = a[:, None, None] * axes[0] + b[None, :, None] * axes[1]
        top = 250.0
        rays = np.tile(-sun, (grid[..., 0].size, 1))
        distance, triangle, _ = scene.cast((grid + top * sun).reshape(-1, 3), rays)
        heights = np.where(triangle >= 0, top - distance, -1e3)
        overcast = rng.random() < 0.25
        strength = np.array(
            [
                rng.uniform(0.35, 0.55) if overcast else rng.uniform(1.15, 1.5),
                rng.uniform(0.75, 0.9) if overcast else rng.uniform(0.45, 0.6),
                rng.uniform(0.0008, 0.003),
                0.9 if overcast else rng.uniform(0.2, 0.55),
            ]
        )
        blue = rng.uniform(0.0, 1.0)
        zenith = np.array([0.28 + 0.12 * blue, 0.45 + 0.1 * blue, 0.78])
        if overcast:
            zenith = np.array([0.66, 0.69, 0.74])
        horizon = np.array([0.78, 0.84, 0.90]) * rng.uniform(0.95, 1.05)
        shape = (len(a), len(b))
        return cls(
            sun,
            strength,
            zenith,
            horizon,
            axes,
            corner,
            heights.reshape(shape).astype(np.float32),
            int(rng.integers(1 << 16)),
        )
