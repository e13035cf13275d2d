"""The curved and hilly street surface that everything stands on.

A street has its own coordinates: s, the way along the centre line in metres (s = 0 where the drive
starts), and d, the distance to the left of it. World frame: x, y horizontal, z up, metres.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Road"]

_STEP = 0.25  # metres between samples of the centre line
_MAX_EXTENT = 55.0  # metres that the ground reaches to each side at most


class Road:
    """Centre line, hills and side slopes of a street.

    Args:
        rng: Random generator for hills and bumps.
        start: First s in metres (negative: behind the start).
        end: Last s in metres.
        bends: (s of the middle, length, turned angle in radians) of each bend; left is positive.
        hollow: Largest vertical curvature of the hollows in 1/metre (0.0008 lifts the road 50 m
            ahead by 1 m).
        flat_half_width: The strip |d| <= this is free of side slope and bumps (road and sidewalks).
    """

    def __init__(
        self,
        rng: np.random.Generator,
        start: float,
        end: float,
        bends: Sequence[tuple[float, float, float]],
        hollow: float,
        flat_half_width: float,
    ) -> None:
        self.flat_half_width = flat_half_width
        self._s = np.arange(start, end + _STEP, _STEP)
        curvature = np.zeros_like(self._s)
        for middle, length, angle in bends:
            # A raised cosine bends without a jump of the curvature; its integral is the angle.
            phase = np.clip((self._s - middle) / length, -0.5, 0.5)
            curvature += angle / length * (1 + np.cos(2 * np.pi * phase))
        heading = np.concatenate([[0.0], np.cumsum(curvature[:-1] + curvature[1:]) * _STEP / 2])
        heading -= np.interp(0.0, self._s, heading)
        self._heading = heading
        middle_heading = (heading[:-1] + heading[1:]) / 2
        self._x, self._y = (
            np.concatenate([[0.0], np.cumsum(rate) * _STEP])
            for rate in (np.cos(middle_heading), np.sin(middle_heading))
        )
        self._x -= np.interp(0.0, self._s, self._x)
        self._y -= np.interp(0.0, self._s, self._y)
        # Keep clear of the centre of a bend, where street coordinates would fold.
        left = 0.8 / max(curvature.max(), 1e-9)
        right = 0.8 / max(-curvature.min(), 1e-9)
        self.extent = (min(_MAX_EXTENT, right), min(_MAX_EXTENT, left))
        self._hills = _hollows(rng, self._s, hollow)
        self._side_slope = rng.uniform(-0.01, 0.06, size=2)
        self._bumps = rng.uniform(0.10, 0.35, size=(4, 2)), rng.uniform(0, 2 * np.pi, size=4)

    def heading(self, s: ArrayLike) -> np.ndarray:
        """Return the direction of the street in the x-y plane (radians)."""
        return np.interp(np.asarray(s, dtype=np.float64), self._s, self._heading)

    def elevation(self, s: ArrayLike, d: ArrayLike) -> np.ndarray:
        """Return the height of the ground without kerbs (metres)."""
        s, d = np.asarray(s, dtype=np.float64), np.asarray(d, dtype=np.float64)
        hills = np.interp(s, self._s, self._hills)
        beyond = np.maximum(np.abs(d) - self.flat_half_width, 0.0)
        side = np.where(d > 0, self._side_slope[1], self._side_slope[0])
        waves, phases = self._bumps
        bumps = sum(
            np.sin(kx * s + ky * d + phase) for (kx, ky), phase in zip(waves, phases, strict=True)
        )
        relief = 0.05 * bumps * np.minimum(beyond / 3.0, 1.0)
        camber = -0.012 * np.minimum(np.abs(d), self.flat_half_width)
        return hills + camber + side * np.minimum(beyond, 25.0) + relief

    def world(self, s: ArrayLike, d: ArrayLike, height: ArrayLike = 0.0) -> np.ndarray:
        """Return world points (..., 3) at ``height`` metres above the ground."""
        s, d = np.broadcast_arrays(np.asarray(s, np.float64), np.asarray(d, np.float64))
        heading = self.heading(s)
        x = np.interp(s, self._s, self._x) - d * np.sin(heading)
        y = np.interp(s, self._s, self._y) + d * np.cos(heading)
        return np.stack([x, y, self.elevation(s, d) + height], axis=-1)


def _hollows(rng: np.random.Generator, s: np.ndarray, curvature: float) -> np.ndarray:
    """Make the height of the road from its vertical curvature, which changes along the way.

    The road nearly always bends up, not down: SemanticKITTI's grid begins 0.3 m below a road, and a
    crest would put the far half of the road outside of it.
    """
    wave = 2 * np.pi * s / rng.uniform(60.0, 130.0) + rng.uniform(0, 2 * np.pi)
    bend = curvature * (0.46 + 0.54 * np.sin(wave))
    slope = np.cumsum(bend) * _STEP
    slope -= np.interp(rng.uniform(0.0, 50.0), s, slope)
    return np.cumsum(slope) * _STEP
