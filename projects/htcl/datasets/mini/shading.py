"""Light of a street: sky, sun, cast shadows and haze, compiled.

Shape letters in this file: N ray, F triangle.
Light is computed in linear units (sRGB squared) and returned as sRGB in [0, 1].
"""

from __future__ import annotations

import math

import numba
import numpy as np

from htcl.datasets.mini.light import SHADOW_CELL, Light
from htcl.datasets.mini.materials import Material
from htcl.datasets.mini.street_scene import StreetScene
from htcl.datasets.mini.textures import surface_color, value_noise

__all__ = ["shade", "warm_up"]

_LEAF = int(Material.LEAF)
_GLASS = int(Material.GLASS)
_PAINT = int(Material.PAINT)

_jit = numba.njit(cache=True)


@_jit
def _sky(direction, sun, strength, zenith, horizon, seed, rgb):
    up = max(direction[2], 0.0)
    share = 1 - (1 - up) ** 3.5
    cloud = 0.0
    if up > 0.01:
        u, v = direction[0] / (up + 0.12), direction[1] / (up + 0.12)
        noise = 0.5 * value_noise(u * 1.3, v * 1.3, seed) + 0.3 * value_noise(
            u * 3.1, v * 3.1, seed + 1
        )
        noise += 0.2 * value_noise(u * 7.0, v * 7.0, seed + 2)
        cloud = min(1.0, max(0.0, (noise + strength[3] - 0.45) * 2.2)) * min(1.0, up * 8)
    glow = max(0.0, direction[0] * sun[0] + direction[1] * sun[1] + direction[2] * sun[2]) ** 24
    for k in range(3):
        color = horizon[k] * (1 - share) + zenith[k] * share
        color = color * (1 - 0.8 * cloud) + 0.93 * 0.8 * cloud
        rgb[k] = min(1.0, color + 0.25 * glow)


@_jit
def _lit(surface, normal, sun, axes, corner, heights, point):
    """Return the share of the sun that reaches a surface point, with soft borders.

    The point is lifted off its surface by more than a cell, so that a surface does not shade
    itself.
    """
    for k in range(3):
        point[k] = surface[k] + 0.16 * normal[k]
    a = (
        point[0] * axes[0, 0] + point[1] * axes[0, 1] + point[2] * axes[0, 2] - corner[0]
    ) / SHADOW_CELL
    b = (
        point[0] * axes[1, 0] + point[1] * axes[1, 1] + point[2] * axes[1, 2] - corner[1]
    ) / SHADOW_CELL
    i, j = math.floor(a), math.floor(b)
    if i < 0 or j < 0 or i + 1 >= heights.shape[0] or j + 1 >= heights.shape[1]:
        return 1.0
    level = point[0] * sun[0] + point[1] * sun[1] + point[2] * sun[2] + 0.06
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
    origin,
    directions,
    distance,
    triangle,
    barycentric,
    corner_normals,
    uv,
    color,
    params,
    material,
    seeds,
    sun,
    strength,
    zenith,
    horizon,
    axes,
    corner,
    heights,
    sky_seed,
    pixel_angle,
    out,
):
    rgb, sky, normal, point, ray = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    bounce = np.zeros(3)
    for n in range(len(directions)):
        length = math.sqrt(directions[n, 0] ** 2 + directions[n, 1] ** 2 + directions[n, 2] ** 2)
        for k in range(3):
            ray[k] = directions[n, k] / length
        t = triangle[n]
        if t < 0:
            _sky(ray, sun, strength, zenith, horizon, sky_seed, sky)
            for k in range(3):
                out[n, k] = sky[k]
            continue
        w1, w2 = barycentric[n, 0], barycentric[n, 1]
        w0 = 1 - w1 - w2
        u = w0 * uv[t, 0, 0] + w1 * uv[t, 1, 0] + w2 * uv[t, 2, 0]
        v = w0 * uv[t, 0, 1] + w1 * uv[t, 1, 1] + w2 * uv[t, 2, 1]
        size = 0.0
        for k in range(3):
            normal[k] = (
                w0 * corner_normals[t, 0, k]
                + w1 * corner_normals[t, 1, k]
                + w2 * corner_normals[t, 2, k]
            )
            size += normal[k] ** 2
            point[k] = origin[k] + distance[n] * directions[n, k]
            rgb[k] = color[t, k]
        facing = 0.0
        for k in range(3):
            normal[k] /= math.sqrt(size) + 1e-9
            facing += normal[k] * ray[k]
        kind = material[t]
        if facing > 0 and kind != _LEAF:
            for k in range(3):
                normal[k] = -normal[k]
        reach = distance[n] * length
        # A pixel covers more of a surface that is seen at a grazing angle.
        width = reach * pixel_angle / math.sqrt(max(abs(facing), 0.04))
        surface_color(kind, rgb, u, v, params[t], width, seeds[t])
        lambert = max(0.0, normal[0] * sun[0] + normal[1] * sun[1] + normal[2] * sun[2])
        if kind == _LEAF:
            # Leaves let light through.
            lambert = 0.25 + 0.75 * lambert
        direct = strength[0] * lambert
        if direct > 0:
            direct *= _lit(point, normal, sun, axes, corner, heights, bounce)
        ambient = strength[1] * (0.62 + 0.38 * normal[2])
        gloss = 0.0
        if kind in (_GLASS, _PAINT):
            for k in range(3):
                bounce[k] = ray[k] - 2 * (-abs(facing)) * normal[k]
            edge = (1 - min(1.0, abs(facing))) ** 4
            gloss = (0.12 + 0.5 * edge) if kind == _GLASS else (0.03 + 0.3 * edge)
            if bounce[2] > 0:
                _sky(bounce, sun, strength, zenith, horizon, sky_seed, sky)
            else:
                for k in range(3):
                    sky[k] = 0.35
        haze = 1 - math.exp(-reach * strength[2])
        for k in range(3):
            # Sunlight is a little yellow, skylight a little blue.
            light = direct * (1.04 - 0.05 * k) + ambient * (0.96 + 0.04 * k)
            value = rgb[k] * rgb[k] * light
            value = value * (1 - gloss) + gloss * sky[k] * sky[k]
            value = value * (1 - haze) + haze * horizon[k] * horizon[k]
            out[n, k] = math.sqrt(min(1.0, value))


def shade(
    scene: StreetScene,
    light: Light,
    origin: np.ndarray,
    directions: np.ndarray,
    hits: tuple[np.ndarray, np.ndarray, np.ndarray],
    pixel_angle: float,
) -> np.ndarray:
    """Return the colour (N, 3), sRGB in [0, 1], that each ray sees.

    Args:
        scene: The street.
        light: Its light.
        origin: (3,) common start of the rays.
        directions: (N, 3), of any length.
        hits: What scene.cast found.
        pixel_angle: Angle of one pixel (1 / focal length in pixels).
    """
    mesh = scene.mesh
    out = np.empty((len(directions), 3), dtype=np.float32)
    _shade(
        np.asarray(origin, dtype=np.float64),
        directions,
        *hits,
        mesh.normals,
        mesh.uv,
        mesh.color,
        mesh.params,
        mesh.material,
        mesh.seed,
        light.sun,
        light.strength,
        light.zenith,
        light.horizon,
        light.axes,
        light.corner,
        light.heights,
        light.seed,
        pixel_angle,
        out,
    )
    return out


def warm_up() -> None:
    """Compile the shading, which the compiler keeps on disk: other processes only load it."""
    one = np.zeros((1, 3))
    corner_data = np.zeros((1, 3, 3)), np.zeros((1, 3, 2)), one, np.zeros((1, 4))
    integers = np.zeros(1, dtype=np.int64)
    hit = np.ones(1, dtype=np.float32), integers - 1, np.zeros((1, 2), dtype=np.float32)
    _shade(
        np.zeros(3),
        one + 1.0,
        *hit,
        *corner_data,
        integers,
        integers,
        np.array([0.0, 0.0, 1.0]),
        np.ones(4),
        np.ones(3),
        np.ones(3),
        np.zeros((2, 3)),
        np.zeros(2),
        np.zeros((2, 2), dtype=np.float32),
        0,
        0.01,
        np.empty((1, 3), dtype=np.float32),
    )
