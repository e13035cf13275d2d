"""Procedural textures, compiled: colour of a surface point from its material.

All noise fades out where it would be finer than a pixel (``width``, the size of a pixel on the
surface in metres), so that textures do not flicker between the two cameras of a stereo pair or
between frames. Colours are sRGB in [0, 1].
"""

from __future__ import annotations

import math

import numba
import numpy as np

from mini_kitti.assets.materials import Material
from mini_kitti.assets.surface import Color

__all__ = ["surface_color", "value_noise"]

_jit = numba.njit(cache=True, inline="never", error_model="numpy", fastmath=True)


@_jit
def _hash(ix: int, iy: int, seed: int) -> float:
    """Return a number in [0, 1) that looks random, from three integers."""
    h = (ix * 374761393 + iy * 668265263 + seed * 1442695041) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return (h ^ (h >> 16)) / 4294967296.0


@_jit
def value_noise(u: float, v: float, seed: int) -> float:
    """Return smooth noise in [-1, 1] with features of size 1."""
    fu, fv = math.floor(u), math.floor(v)
    iu, iv = int(fu), int(fv)
    a, b = u - fu, v - fv
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    low = _hash(iu, iv, seed) * (1 - a) + _hash(iu + 1, iv, seed) * a
    high = _hash(iu, iv + 1, seed) * (1 - a) + _hash(iu + 1, iv + 1, seed) * a
    return 2 * (low * (1 - b) + high * b) - 1


@_jit
def _fade(size: float, width: float) -> float:
    """Return the weight of a detail of ``size`` metres seen with pixels of ``width`` metres."""
    return min(1.0, max(0.0, size / width - 0.8))


@_jit
def _fbm(
    u: float, v: float, coarse: float, octaves: int, gain: float, width: float, seed: int
) -> float:
    """Return band-limited noise of several octaves, the largest of ``coarse`` metres."""
    total, amplitude, frequency, limit = 0.0, 1.0, 1.0 / coarse, coarse / width
    for k in range(octaves):
        weight = min(1.0, limit - 0.8)
        if weight <= 0.0:
            break
        total += weight * amplitude * value_noise(u * frequency, v * frequency, seed + 17 * k)
        amplitude *= gain
        frequency *= 2.0
        limit *= 0.5
    return total


@_jit
def _line(x: float, period: float, half: float, width: float) -> float:
    """Return how much of a pixel lies on lines, ``2 * half`` thick, at multiples of ``period``."""
    distance = abs(x - period * math.floor(x / period + 0.5))
    return _inside(distance, half, width) * min(1.0, 0.5 * period / width)


@_jit
def _inside(distance: float, half: float, width: float) -> float:
    """Return the soft step from 1 (distance < half) to 0 over one pixel."""
    return min(1.0, max(0.0, (half - distance) / width + 0.5)) * min(1.0, 2 * half / width)


@_jit
def _edge(distance: float, width: float) -> float:
    """Return the soft step from 1 (negative distance to an edge) to 0 over one pixel."""
    return min(1.0, max(0.0, 0.5 - distance / width))


@_jit
def _asphalt(u: float, v: float, width: float, seed: int) -> float:
    tone = 1.0 + 0.10 * _fbm(u, v, 4.0, 4, 0.8, width, seed)
    tone += 0.16 * _fbm(u, v, 0.16, 4, 0.9, width, seed + 5)
    # Repaired patches and sealed cracks, as old town streets have.
    cell_u, cell_v = math.floor(u / 7.0), math.floor(v / 2.3)
    if _hash(int(cell_u), int(cell_v), seed + 9) < 0.16:
        tone *= 0.82
    crack = abs(
        value_noise(u / 4.5, v / 3.4, seed + 31) + 0.2 * value_noise(u / 0.6, v / 0.6, seed + 32)
    )
    tone *= 1 - 0.45 * _inside(crack, 0.02, max(width * 0.6, 0.02))
    return tone


@_jit
def _slabs(
    u: float, v: float, size_u: float, size_v: float, joint: float, width: float, seed: int
) -> float:
    """Return the tone of slabs in a running bond, each with its own brightness."""
    row = math.floor(v / size_v)
    shift = 0.5 * size_u * (int(row) % 2)
    column = math.floor((u + shift) / size_u)
    tone = 1.0 + 0.22 * (_hash(int(column), int(row), seed) - 0.5) * _fade(size_v, width)
    tone *= 1 - 0.35 * max(_line(u + shift, size_u, joint, width), _line(v, size_v, joint, width))
    return tone * (1 + 0.14 * _fbm(u, v, 2.0, 5, 0.75, width, seed + 3))


@_jit
def _window(
    u: float, v: float, params: np.ndarray, width: float, seed: int
) -> tuple[float, float, float]:
    """Return (cover of frame, cover of glass, tone of glass) of the windows of a wall."""
    pitch, storey, win_w, win_h = params[0], params[1], params[2], params[3]
    column, floor = math.floor(u / pitch), math.floor(v / storey)
    if v < 0.0 or pitch <= 0.0:
        return 0.0, 0.0, 0.0
    key = _hash(int(column), int(floor), seed + 3)
    x = abs(u - (column + 0.5) * pitch)
    middle = storey * 0.55
    half_w, half_h = win_w / 2, win_h / 2
    if floor == 0 and key < 0.3:
        # A door, or a shop window.
        middle, half_h = storey * 0.36, storey * 0.36
    y = abs(v - floor * storey - middle)
    frame = min(_inside(x, half_w + 0.09, width), _inside(y, half_h + 0.09, width))
    glass = min(_inside(x, half_w, width), _inside(y, half_h, width))
    # Glazing bars.
    glass *= 1 - 0.9 * _inside(x, 0.035, width)
    tone = 0.12 + 0.25 * key
    if key > 0.72 and (v - floor * storey - middle) > half_h * (2.6 * key - 2.2):
        tone = 0.65  # blind
    return frame, glass, tone


@_jit
def _wall(
    rgb: np.ndarray,
    u: float,
    v: float,
    params: np.ndarray,
    width: float,
    seed: int,
    brick: bool,
) -> None:
    """Turn the base colour of a wall into plaster or bricks with windows, in place."""
    if brick:
        tone = _slabs(u, v, 0.25, 0.085, 0.008, width, seed)
        tone *= 1 + 0.12 * _fbm(u, v, 1.4, 3, 0.7, width, seed + 8)
    else:
        tone = 1 + 0.07 * _fbm(u, v, 3.0, 4, 0.7, width, seed)
        tone += 0.05 * _fbm(u, v, 0.2, 3, 0.8, width, seed + 8)
    if v < 0.7:
        tone *= 0.72  # plinth
    # A cornice below each storey, dirt towards the ground.
    tone *= 1 - 0.16 * _line(v, params[1], 0.07, width) * (1.0 if seed % 3 == 0 else 0.0)
    tone *= 0.9 + 0.1 * min(1.0, max(0.0, v / 3.0))
    frame, glass, glass_tone = _window(u, v, params, width, seed)
    light = 0.9 if seed % 2 == 0 else 0.42
    for k in range(3):
        wall = rgb[k] * tone
        wall = wall * (1 - frame) + light * frame
        blue = 1.0 + 0.12 * (k - 1)
        rgb[k] = wall * (1 - glass) + glass_tone * blue * glass


@_jit
def _blend(rgb: np.ndarray, base: Color, ink: float, cover: float) -> None:
    """Cover a share of a coloured surface with grey ink."""
    for k in range(3):
        rgb[k] = base[k] * (1 - cover) + ink * cover


@_jit
def _sign(rgb: np.ndarray, u: float, v: float, params: np.ndarray, width: float, seed: int) -> None:
    """Draw the face of a traffic sign (params as structures.traffic_sign gives them)."""
    shape, half, half_height = int(params[0]), params[1], params[2]
    symbol = _inside(abs(u - 0.1 * half), 0.12 * half, width) * _inside(
        abs(v), 0.45 * half_height, width
    )
    if shape == 4:
        lines = _line(v - 0.07, 0.22, 0.045, width) * _inside(abs(u), 0.75 * half, width)
        edge = max(abs(u) / half, abs(v) / half_height)
        cover = max(lines, _edge((0.9 - edge) * half, width))
        if seed % 2 == 0:
            _blend(rgb, (0.05, 0.22, 0.60), 0.95, cover)
        else:
            _blend(rgb, (0.93, 0.82, 0.12), 0.08, cover)
        return
    if shape == 1:
        _blend(rgb, (0.06, 0.25, 0.66), 0.95, symbol)
        return
    if shape == 3:
        outside = 1 - _inside(abs(u) / half + abs(v) / half_height, 0.68, width / half)
        _blend(rgb, (0.95, 0.78, 0.08), 0.93, outside)
        return
    if shape == 2:
        # The inner triangle, parallel to the outline.
        reach = 0.62 * half * (1 - (v / half_height + 0.55) / 1.2)
        inner = min(_edge(abs(u) - reach, width), _edge(-0.55 * half_height - v, width))
    else:
        inner = _inside(math.sqrt(u * u + v * v), 0.68 * half, width)
    _blend(rgb, (0.75, 0.06, 0.07), 0.94 * (1 - symbol) + 0.07 * symbol, inner)


@_jit
def surface_color(
    material: int,
    rgb: np.ndarray,
    u: float,
    v: float,
    params: np.ndarray,
    width: float,
    seed: int,
) -> None:
    """Turn the base colour of a surface into its textured colour, in place.

    Args:
        material: Material.
        rgb: (3,) base colour; overwritten.
        u: First texture coordinate in metres.
        v: Second texture coordinate in metres.
        params: (4,) texture parameters of the surface.
        width: Size of a pixel on the surface in metres.
        seed: Texture seed of the object.
    """
    tone = 1.0
    if material == Material.ASPHALT:
        tone = _asphalt(u, v, width, seed)
    elif material == Material.MARKING:
        tone = 1 - 0.28 * max(0.0, _fbm(u, v, 0.8, 5, 0.8, width, seed + 2))
    elif material == Material.PAVING:
        tone = _slabs(u, v, 0.6, 0.4, 0.012, width, seed + 4)
    elif material == Material.COBBLE:
        tone = _slabs(u, v, 0.24, 0.16, 0.014, width, seed + 6)
        # Painted bays across the lane.
        bay = _line(u, 5.4, 0.05, width)
        for k in range(3):
            rgb[k] = rgb[k] * (1 - bay) + 0.8 * bay
    elif material == Material.GRAVEL:
        tone = 1 + 0.15 * _fbm(u, v, 2.5, 3, 0.7, width, seed + 7)
        tone += 0.28 * _fbm(u, v, 0.25, 4, 0.85, width, seed + 8)
    elif material == Material.GRASS:
        patch = _fbm(u, v, 6.0, 3, 0.6, width, seed + 10)
        tone = (
            1
            + 0.2 * _fbm(u, v, 1.2, 3, 0.7, width, seed + 11)
            + 0.3 * _fbm(u, v, 0.2, 4, 0.85, width, seed + 12)
        )
        rgb[0] *= 1 + 0.30 * patch
        rgb[2] *= 1 + 0.15 * patch
    elif material == Material.FACADE or material == Material.BRICK:
        _wall(rgb, u, v, params, width, seed, material == Material.BRICK)
    elif material == Material.ROOF:
        tone = _slabs(u, v, 0.3, 0.36, 0.025, width, seed) * (
            1 + 0.1 * _fbm(u, v, 2.0, 3, 0.7, width, seed + 1)
        )
    elif material == Material.WOOD:
        plank = _hash(math.floor(u / 0.14), 0, seed)
        tone = (0.82 + 0.36 * plank) * (1 - 0.5 * _line(u, 0.14, 0.008, width))
        tone *= 1 + 0.2 * _fbm(u * 6.0, v, 0.8, 4, 0.7, width, seed)
    elif material == Material.LEAF:
        tone = 1 + 0.35 * _fbm(u, v, 0.7, 4, 0.8, width, seed)
    elif material == Material.BARK:
        tone = 1 + 0.4 * _fbm(u * 3.0, v * 0.7, 0.4, 4, 0.75, width, seed)
    elif material == Material.SIGN_FACE:
        _sign(rgb, u, v, params, width, seed)
    elif material == Material.CLOTH:
        tone = 1 + 0.22 * _fbm(u, v, 0.25, 3, 0.7, width, seed)
    elif material == Material.CONCRETE:
        tone = 1 + 0.12 * _fbm(u, v, 1.0, 5, 0.75, width, seed + 1)
        tone *= 1 - 0.25 * _line(u, 1.0, 0.01, width)
    elif material == Material.PAINT:
        tone = 1 + 0.04 * _fbm(u, v, 0.6, 3, 0.7, width, seed)
    elif material == Material.METAL:
        tone = 1 + 0.12 * _fbm(u, v, 0.3, 3, 0.7, width, seed)
    for k in range(3):
        rgb[k] = min(1.0, max(0.0, rgb[k] * tone))
