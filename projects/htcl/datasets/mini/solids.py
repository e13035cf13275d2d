"""Solids that assets are built from: quads, boxes, prisms, cylinders, ellipsoids.

Shape letter in this file: N point or quad.
Local frame: x front, y left, z up, metres.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from htcl.datasets.mini.mesh import Mesh, merge
from htcl.datasets.mini.surface import Surface

__all__ = ["box", "cylinder", "ellipsoid", "frustum", "prism", "quads"]


def quads(corners: np.ndarray, surface: Surface, uv: np.ndarray | None = None) -> Mesh:
    """Make planar quads.

    Args:
        corners: (N, 4, 3), counter-clockwise seen from outside.
        surface: Look and label.
        uv: (N, 4, 2), optional.
    """
    corners = np.asarray(corners, dtype=np.float64).reshape(-1, 4, 3)
    order = np.array([[0, 1, 2], [0, 2, 3]])
    triangle_uv = None if uv is None else np.asarray(uv)[:, order].reshape(-1, 3, 2)
    return Mesh.from_triangles(corners[:, order].reshape(-1, 3, 3), surface, triangle_uv)


def frustum(bottom: np.ndarray, top: np.ndarray, surface: Surface) -> Mesh:
    """Make the solid between two horizontal quads (4, 3) with equal corner order, with its lid."""
    sides = [[bottom[i], bottom[(i + 1) % 4], top[(i + 1) % 4], top[i]] for i in range(4)]
    return quads(np.array([*sides, top]), surface)


def box(center: tuple, size: tuple, surface: Surface, taper: tuple = (1.0, 1.0)) -> Mesh:
    """Make an upright box, centred at ``center``; ``taper`` scales the lid in x and y."""
    half = np.array(size) / 2
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    bottom = np.column_stack([signs * half[:2], np.full(4, -half[2])])
    top = np.column_stack([signs * half[:2] * np.array(taper), np.full(4, half[2])])
    sides = frustum(bottom, top, surface)
    floor = quads(bottom[None, ::-1], surface)
    return merge([sides, floor]).placed(np.array(center))


def prism(profile: np.ndarray, width: float, surface: Surface, top_width: float = 0.0) -> Mesh:
    """Extrude a profile in the x-z plane along y.

    Args:
        profile: (N, 2) x, z; counter-clockwise seen from the right (from -y); star-shaped around
            its mean.
        width: Extent in y at the lowest point.
        surface: Look and label.
        top_width: Extent in y at the highest point; 0 means the same.
    """
    profile = np.asarray(profile, dtype=np.float64)
    low, high = profile[:, 1].min(), profile[:, 1].max()
    share = (profile[:, 1] - low) / max(high - low, 1e-9)
    half = (width + share * ((top_width or width) - width)) / 2
    right = np.column_stack([profile[:, 0], -half, profile[:, 1]])
    left = right * np.array([1.0, -1.0, 1.0])
    succ = np.roll(np.arange(len(profile)), -1)
    rim = np.stack([right[succ], right, left, left[succ]], axis=1)
    caps = []
    for side, order in ((right, (0, 1)), (left, (1, 0))):
        pair = np.stack([side, side[succ]], axis=1)[:, order]
        middle = np.repeat(side.mean(axis=0)[None, None], len(profile), axis=0)
        caps.append(Mesh.from_triangles(np.concatenate([middle, pair], axis=1), surface))
    return merge([quads(rim, surface), *caps])


def cylinder(
    start: tuple,
    end: tuple,
    radius: float,
    surface: Surface,
    end_radius: float | None = None,
    sides: int = 8,
    caps: bool = True,
) -> Mesh:
    """Make a (tapered) cylinder from ``start`` to ``end`` with smooth normals."""
    start, end = np.array(start, dtype=np.float64), np.array(end, dtype=np.float64)
    end_radius = radius if end_radius is None else end_radius
    axis = end - start
    length = np.linalg.norm(axis)
    axis = axis / length
    helper = np.array([1.0, 0.0, 0.0]) if abs(axis[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
    first = np.cross(axis, helper)
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    angle = 2 * np.pi * np.arange(sides + 1) / sides
    spoke = np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * second
    low, high = start + radius * spoke, end + end_radius * spoke
    i, j = np.arange(sides), np.arange(1, sides + 1)
    corners = np.stack([low[i], low[j], high[j], high[i]], axis=1)
    around = angle * radius
    zeros = np.zeros(sides)
    uv = np.stack(
        [
            np.column_stack([around[i], zeros]),
            np.column_stack([around[j], zeros]),
            np.column_stack([around[j], zeros + length]),
            np.column_stack([around[i], zeros + length]),
        ],
        axis=1,
    )
    side = quads(corners, surface, uv)
    order = np.array([[0, 1, 2], [0, 2, 3]])
    normals = np.stack([spoke[i], spoke[j], spoke[j], spoke[i]], axis=1)
    side.normals = normals[:, order].reshape(-1, 3, 3)
    if not caps:
        return side
    lids = []
    for ring, middle, (a, b) in ((low, start, (j, i)), (high, end, (i, j))):
        fan = np.stack([np.repeat(middle[None], sides, axis=0), ring[a], ring[b]], axis=1)
        lids.append(Mesh.from_triangles(fan, surface))
    return merge([side, *lids])


@lru_cache(maxsize=4)
def _unit_sphere(rings: int, segments: int) -> np.ndarray:
    polar = np.pi * np.arange(rings + 1) / rings
    around = 2 * np.pi * np.arange(segments) / segments
    grid = np.stack(
        [
            np.sin(polar)[:, None] * np.cos(around),
            np.sin(polar)[:, None] * np.sin(around),
            np.repeat(np.cos(polar)[:, None], segments, axis=1),
        ],
        axis=-1,
    )
    succ = np.roll(grid, -1, axis=1)
    upper = np.stack([grid[:-1], grid[1:], succ[1:]], axis=2)[1:]
    lower = np.stack([grid[:-1], succ[1:], succ[:-1]], axis=2)[1:]
    # The first ring has one triangle a segment (its upper edge is the pole).
    cap = np.stack([grid[0], grid[1], succ[1]], axis=1)
    return np.concatenate([cap, upper.reshape(-1, 3, 3), lower.reshape(-1, 3, 3)])


def ellipsoid(
    center: tuple, radii: tuple, surface: Surface, rings: int = 6, segments: int = 10
) -> Mesh:
    """Make an ellipsoid with smooth normals."""
    unit = _unit_sphere(rings, segments)
    scale = np.array(radii, dtype=np.float64)
    normals = unit / scale
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return Mesh.from_triangles(unit * scale + np.array(center), surface, normals=normals)
