"""Light of a street: sky, sun, cast shadows and haze, compiled.

Shape letters in this file: N ray, F triangle.
Light is computed in linear units (sRGB squared) and returned as sRGB in [0, 1].
"""

from __future__ import annotations

import math

import numba
import numpy as np

from mini_kitti.assets.materials import Material
from mini_kitti.assets.mesh import Mesh
from mini_kitti.assets.raw_labels import RawLabel
from mini_kitti.assets.surface import Surface
from mini_kitti.assets.textures import surface_color, value_noise
from mini_kitti.sensors.light import SHADOW_CELL, Light

__all__ = ["shade", "warm_up"]

_jit = numba.njit(cache=True)


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
    directions: np.ndarray,
    hits: tuple[np.ndarray, np.ndarray, np.ndarray],
    shapes: tuple[np.ndarray, np.ndarray],
    looks: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    light: Light,
    pixel_angle: float,
    out: np.ndarray,
) -> None:
    """Write the colours that rays see into ``out``; see :func:`shade`.

    ``shapes`` are normals and texture coordinates of the mesh, ``looks`` its colour, params,
    material and seed.
    """
    distance, triangle, barycentric = hits
    normals, uv = shapes
    colors, params, material, seeds = looks
    rgb, sky, normal, point, ray = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    bounce = np.zeros(3)
    for n in range(len(directions)):
        length = math.sqrt(directions[n, 0] ** 2 + directions[n, 1] ** 2 + directions[n, 2] ** 2)
        for k in range(3):
            ray[k] = directions[n, k] / length
        t = triangle[n]
        if t < 0:
            _sky(ray, light, sky)
            for k in range(3):
                out[n, k] = sky[k]
            continue
        w1, w2 = barycentric[n, 0], barycentric[n, 1]
        w0 = 1 - w1 - w2
        u = w0 * uv[t, 0, 0] + w1 * uv[t, 1, 0] + w2 * uv[t, 2, 0]
        v = w0 * uv[t, 0, 1] + w1 * uv[t, 1, 1] + w2 * uv[t, 2, 1]
        size = 0.0
        for k in range(3):
            normal[k] = w0 * normals[t, 0, k] + w1 * normals[t, 1, k] + w2 * normals[t, 2, k]
            size += normal[k] ** 2
            point[k] = origin[k] + distance[n] * directions[n, k]
            rgb[k] = colors[t, k]
        facing = 0.0
        for k in range(3):
            normal[k] /= math.sqrt(size) + 1e-9
            facing += normal[k] * ray[k]
        kind = material[t]
        if facing > 0 and kind != Material.LEAF:
            for k in range(3):
                normal[k] = -normal[k]
        reach = distance[n] * length
        # A pixel covers more of a surface that is seen at a grazing angle.
        width = reach * pixel_angle / math.sqrt(max(abs(facing), 0.04))
        surface_color(kind, rgb, u, v, params[t], width, seeds[t])
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
    mesh: Mesh,
    light: Light,
    origin: np.ndarray,
    directions: np.ndarray,
    hits: tuple[np.ndarray, np.ndarray, np.ndarray],
    pixel_angle: float,
) -> np.ndarray:
    """Return the colour (N, 3) float32, sRGB in [0, 1], that each ray sees.

    Args:
        mesh: The triangles of the street.
        light: Its light.
        origin: (3,) common start of the rays.
        directions: (N, 3), of any length.
        hits: What StreetScene.cast found.
        pixel_angle: Angle of one pixel (1 / focal length in pixels).
    """
    out = np.empty((len(directions), 3), dtype=np.float32)
    looks = mesh.color, mesh.params, mesh.material, mesh.seed
    _shade(origin, directions, hits, (mesh.normals, mesh.uv), looks, light, pixel_angle, out)
    return out


def warm_up() -> None:
    """Compile the shading, which the compiler keeps on disk: other processes only load it."""
    surface = Surface(RawLabel.ROAD, Material.ASPHALT, (0.0, 0.0, 0.0))
    mesh = Mesh.from_triangles(np.zeros((1, 3, 3)), surface)
    up, none = np.array([0.0, 0.0, 1.0]), np.zeros((2, 2), dtype=np.float32)
    light = Light(up, 1.0, 1.0, 0.0, 0.0, up, up, np.zeros((2, 3)), np.zeros(2), none, 0)
    hits = np.ones(1, dtype=np.float32), np.full(1, -1), none[:1]
    shade(mesh, light, np.zeros(3), np.ones((1, 3)), hits, 0.01)
