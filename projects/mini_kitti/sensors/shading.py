"""Light of a street: sky, sun, cast shadows and haze, compiled.

Shape letters in this file: N ray, F triangle; H, W image; S ray of a pixel.
Light is computed in linear units (sRGB squared) and returned as sRGB in [0, 1].
"""

from __future__ import annotations

import math

import numba
import numpy as np

from mini_kitti.assets.materials import Material
from mini_kitti.assets.textures import surface_color, value_noise
from mini_kitti.sensors.light import SHADOW_CELL, Light
from mini_kitti.sensors.view import View

__all__ = ["shade"]

_jit = numba.njit(cache=True, error_model="numpy", fastmath=True)


@_jit
def _sky(direction: np.ndarray, light: Light, rgb: np.ndarray) -> None:
    """Write the colour of the sky in a direction into ``rgb``."""
    up = max(direction[2], 0.0)
    share = 1 - (1 - up) ** 3.5
    cloud = 0.0
    if up > 0.01:
        u, v = direction[0] / (up + 0.12), direction[1] / (up + 0.12)
        noise = 0.5 * value_noise(u * 1.3, v * 1.3, light.seed)
        noise += 0.3 * value_noise(u * 3.1, v * 3.1, light.seed + 1)
        noise += 0.2 * value_noise(u * 7.0, v * 7.0, light.seed + 2)
        cloud = min(1.0, max(0.0, (noise + light.clouds - 0.45) * 2.2)) * min(1.0, up * 8)
    glow = max(0.0, _dot(direction, light.sun)) ** 24
    for k in range(3):
        color = light.horizon[k] * (1 - share) + light.zenith[k] * share
        color = color * (1 - 0.8 * cloud) + 0.93 * 0.8 * cloud
        rgb[k] = min(1.0, color + 0.25 * glow)


@_jit
def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@_jit
def _lit(surface: np.ndarray, normal: np.ndarray, light: Light, point: np.ndarray) -> float:
    """Return the share of the sun that reaches a surface point, with soft borders.

    The point is lifted off its surface by more than a cell, so that a surface does not shade
    itself. ``point`` (3,) is scratch space.
    """
    for k in range(3):
        point[k] = surface[k] + 0.16 * normal[k]
    a = (_dot(point, light.axes[0]) - light.corner[0]) / SHADOW_CELL
    b = (_dot(point, light.axes[1]) - light.corner[1]) / SHADOW_CELL
    i, j = math.floor(a), math.floor(b)
    heights = light.heights
    if i < 0 or j < 0 or i + 1 >= heights.shape[0] or j + 1 >= heights.shape[1]:
        return 1.0
    level = _dot(point, light.sun) + 0.06
    fa, fb = a - i, b - j
    total = 0.0
    for di in range(2):
        for dj in range(2):
            weight = (fa if di else 1 - fa) * (fb if dj else 1 - fb)
            if heights[i + di, j + dj] <= level:
                total += weight
    return total


@_jit
def _shade(
    origin: np.ndarray,
    world_from_pixel: np.ndarray,
    slots: np.ndarray,
    offsets: np.ndarray,
    hits: tuple[np.ndarray, np.ndarray, np.ndarray],
    looks: np.ndarray,
    light: Light,
    pixel_angle: float,
    out: np.ndarray,
) -> None:
    """Write the colours that rays see into ``out``; see :func:`shade`."""
    distance, triangle, barycentric = hits
    rgb, sky, normal, point, ray = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    bounce = np.zeros(3)
    direction = np.zeros(3)
    samples = len(offsets)
    rows, columns = slots.shape
    for at in range(rows * columns * samples):
        row, column, s = at // samples // columns, at // samples % columns, at % samples
        if slots[row, column] < 0:
            continue
        n = slots[row, column] * samples + s
        pixel_u, pixel_v = column + offsets[s, 0], row + offsets[s, 1]
        for k in range(3):
            matrix = world_from_pixel[k]
            direction[k] = matrix[0] * pixel_u + matrix[1] * pixel_v + matrix[2]
        length = math.sqrt(_dot(direction, direction))
        for k in range(3):
            ray[k] = direction[k] / length
        t = triangle[n]
        if t < 0:
            _sky(ray, light, sky)
            for k in range(3):
                out[n, k] = sky[k]
            continue
        w1, w2 = barycentric[n, 0], barycentric[n, 1]
        w0 = 1 - w1 - w2
        look = looks[t]
        u = w0 * look[9] + w1 * look[11] + w2 * look[13]
        v = w0 * look[10] + w1 * look[12] + w2 * look[14]
        size = 0.0
        for k in range(3):
            normal[k] = w0 * look[k] + w1 * look[3 + k] + w2 * look[6 + k]
            size += normal[k] ** 2
            point[k] = origin[k] + distance[n] * direction[k]
            rgb[k] = look[15 + k]
        facing = 0.0
        for k in range(3):
            normal[k] /= math.sqrt(size) + 1e-9
            facing += normal[k] * ray[k]
        kind = int(look[22])
        if facing > 0 and kind != Material.LEAF:
            for k in range(3):
                normal[k] = -normal[k]
        reach = distance[n] * length
        # A pixel covers more of a surface that is seen at a grazing angle.
        width = reach * pixel_angle / math.sqrt(max(abs(facing), 0.04))
        surface_color(kind, rgb, u, v, look[18:22], width, int(look[23]))
        lambert = max(0.0, _dot(normal, light.sun))
        if kind == Material.LEAF:
            # Leaves let light through.
            lambert = 0.25 + 0.75 * lambert
        direct = light.sunshine * lambert
        if direct > 0:
            direct *= _lit(point, normal, light, bounce)
        ambient = light.skylight * (0.62 + 0.38 * normal[2])
        gloss = 0.0
        if kind == Material.GLASS or kind == Material.PAINT:
            for k in range(3):
                bounce[k] = ray[k] - 2 * (-abs(facing)) * normal[k]
            edge = (1 - min(1.0, abs(facing))) ** 4
            gloss = (0.12 + 0.5 * edge) if kind == Material.GLASS else (0.03 + 0.3 * edge)
            if bounce[2] > 0:
                _sky(bounce, light, sky)
            else:
                sky[:] = 0.35
        haze = 1 - math.exp(-reach * light.haze)
        for k in range(3):
            # Sunlight is a little yellow, skylight a little blue.
            bright = direct * (1.04 - 0.05 * k) + ambient * (0.96 + 0.04 * k)
            value = rgb[k] * rgb[k] * bright
            value = value * (1 - gloss) + gloss * sky[k] * sky[k]
            value = value * (1 - haze) + haze * light.horizon[k] * light.horizon[k]
            out[n, k] = math.sqrt(min(1.0, value))


def shade(
    looks: np.ndarray,
    light: Light,
    view: View,
    slots: np.ndarray,
    offsets: np.ndarray,
    hits: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> np.ndarray:
    """Return the colour (N, 3) float32, sRGB in [0, 1], that each ray sees.

    Args:
        looks: (F, 24), see Mesh.packed.
        light: Light of the street.
        view: Camera and place.
        slots: (H, W), see Raster.hits.
        offsets: (S, 2), see Raster.hits.
        hits: What Raster.hits found for them.
    """
    out = np.empty((len(hits[0]), 3), dtype=np.float32)
    rays = view.origin, view.world_from_pixel, slots, offsets
    _shade(*rays, hits, looks, light, view.pixel_angle, out)
    return out
