"""Solids that assets are built from.

Boxes, extrusions and rings are those of trimesh. Cylinders and ellipsoids are bent sheets: texture
and smooth normals belong to the corners of their triangles, which trimesh lets meet in one vertex.

Shape letters in this file: N point or quad; A, B grid lines.
Local frame: x front, y left, z up, metres.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import ArrayLike
from trimesh import creation

from mini_kitti.assets.mesh import Mesh
from mini_kitti.assets.surface import Surface

__all__ = ["box", "cylinder", "ellipsoid", "frustum", "prism", "quads", "ring", "sheet"]

_TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]])  # of a quad
_CUBE = np.array(creation.box().triangles)  # (12, 3, 3), edges of 1 metre around the origin


def quads(
    corners: ArrayLike,
    surface: Surface,
    uv: ArrayLike | None = None,
    normals: ArrayLike | None = None,
) -> Mesh:
    """Make planar quads.

    Args:
        corners: (N, 4, 3), counter-clockwise seen from outside.
        surface: Look and label.
        uv: (N, 4, 2), optional.
        normals: (N, 4, 3) for smooth shading, optional.
    """

    def split(values: ArrayLike) -> np.ndarray:
        array = np.asarray(values, dtype=np.float64)
        return array[..., _TRIANGLES, :].reshape(-1, 3, array.shape[-1])

    return Mesh.from_triangles(
        split(corners),
        surface,
        None if uv is None else split(uv),
        None if normals is None else split(normals),
    )


def sheet(
    points: np.ndarray,
    surface: Surface,
    uv: np.ndarray | None = None,
    normals: np.ndarray | None = None,
) -> Mesh:
    """Make the quads between the points (A, B, 3) of a grid, with uv (A, B, 2), normals (A, B, 3).

    Its outside is where A turns to B counter-clockwise.
    """

    def cells(grid: np.ndarray) -> np.ndarray:
        corners = [grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]]
        return np.stack(corners, axis=2).reshape(-1, 4, grid.shape[-1])

    return quads(
        cells(points),
        surface,
        None if uv is None else cells(uv),
        None if normals is None else cells(normals),
    )


def frustum(bottom: np.ndarray, top: np.ndarray, surface: Surface) -> Mesh:
    """Make the solid between two horizontal quads (4, 3) with equal corner order, with its lid."""
    sides = [[bottom[i], bottom[(i + 1) % 4], top[(i + 1) % 4], top[i]] for i in range(4)]
    return quads(np.array([*sides, top]), surface)


def box(
    center: ArrayLike,
    size: tuple[float, float, float],
    surface: Surface,
    taper: tuple[float, float] = (1.0, 1.0),
) -> Mesh:
    """Make an upright box, centred at ``center``; ``taper`` scales the lid in x and y."""
    corners = _CUBE * np.asarray(size, dtype=np.float64)
    corners[corners[..., 2] > 0, :2] *= taper
    return Mesh.from_triangles(corners, surface).placed(center)


def prism(
    profile: ArrayLike, width: float, surface: Surface, top_width: float | None = None
) -> Mesh:
    """Extrude a profile in the x-z plane along y.

    Args:
        profile: (N, 2) x, z; counter-clockwise seen from the right (from -y); star-shaped around
            its mean.
        width: Extent in y at the lowest point.
        surface: Look and label.
        top_width: Extent in y at the highest point, if it differs.
    """
    outline = np.asarray(profile, dtype=np.float64)
    first = np.arange(len(outline))
    fan = np.column_stack([np.full_like(first, len(outline)), first, np.roll(first, -1)])
    solid = creation.extrude_triangulation(np.vstack([outline, outline.mean(axis=0)]), fan, 2.0)
    x, z, depth = solid.vertices.T
    share = (z - z.min()) / np.ptp(z)
    half = (width + share * ((top_width or width) - width)) / 2
    corners = np.column_stack([x, (1 - depth) * half, z])
    return Mesh.from_triangles(corners[solid.faces], surface)


def cylinder(
    start: ArrayLike,
    end: ArrayLike,
    radius: float,
    surface: Surface,
    end_radius: float | None = None,
    sides: int = 8,
    caps: bool = True,
) -> Mesh:
    """Make a (tapered) cylinder from ``start`` to ``end`` with smooth normals."""
    start, end = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    end_radius = radius if end_radius is None else end_radius
    length = float(np.linalg.norm(end - start))
    axis = (end - start) / length
    # Across the axis: its cross product with the x axis, or with the y axis if x is too near.
    x, y, z = axis
    first = np.array((0.0, z, -y) if abs(x) < 0.9 else (-z, 0.0, x))
    first /= np.linalg.norm(first)
    second = np.array(
        (
            y * first[2] - z * first[1],
            z * first[0] - x * first[2],
            x * first[1] - y * first[0],
        )
    )
    count = 2 * sides + (2 * sides if caps else 0)
    corners, normals, uv = np.empty((count, 3, 3)), np.empty((count, 3, 3)), np.empty((count, 3, 2))
    _cylinder(start, end, first, second, radius, end_radius, sides, (corners, normals, uv))
    side = slice(2 * sides)
    mesh = Mesh.from_triangles(corners, surface)
    mesh.normals[side], mesh.uv[side] = normals[side], uv[side]
    return mesh


@numba.njit(cache=True)
def _cylinder(
    start: np.ndarray,
    end: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    radius: float,
    end_radius: float,
    sides: int,
    out: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Write corners, normals and uv of a cylinder's sides, then corners of its caps if they fit.

    ``first`` and ``second`` are unit vectors across the axis and each other.
    """
    corners, normals, uv = out
    length = np.sqrt(((end - start) ** 2).sum())
    for side in range(sides):
        low, high = np.empty((2, 3)), np.empty((2, 3))
        spoke, around = np.empty((2, 3)), np.empty(2)
        for k in range(2):
            angle = 2 * np.pi * (side + k) / sides
            spoke[k] = np.cos(angle) * first + np.sin(angle) * second
            low[k], high[k] = start + radius * spoke[k], end + end_radius * spoke[k]
            around[k] = angle * radius
        # Two triangles of low 0, low 1, high 1, high 0.
        for triangle in range(2):
            f = 2 * side + triangle
            for corner in range(3):
                at = 0 if corner == 0 else corner + triangle
                k, upper = 1 if at in (1, 2) else 0, at >= 2
                corners[f, corner] = high[k] if upper else low[k]
                normals[f, corner] = spoke[k]
                uv[f, corner, 0], uv[f, corner, 1] = around[k], length if upper else 0.0
        if len(corners) > 2 * sides:
            # The lower cap looks down: its rim goes backwards.
            bottom, top = 2 * sides + (sides - 1 - side), 3 * sides + side
            corners[bottom, 0], corners[bottom, 1], corners[bottom, 2] = start, low[1], low[0]
            corners[top, 0], corners[top, 1], corners[top, 2] = end, high[0], high[1]


def ring(
    center: ArrayLike, radius: float, inner_radius: float, width: float, surface: Surface
) -> Mesh:
    """Make a wheel with a hole, in the x-z plane."""
    wheel = creation.annulus(inner_radius, radius, width, sections=14).triangles
    # The axle lies along z there, and along y here.
    corners = np.stack([wheel[..., 0], -wheel[..., 2], wheel[..., 1]], axis=-1)
    return Mesh.from_triangles(corners + np.asarray(center), surface)


def ellipsoid(
    center: ArrayLike, radii: ArrayLike, surface: Surface, rings: int = 6, segments: int = 10
) -> Mesh:
    """Make an ellipsoid with smooth normals."""
    polar = np.pi * np.arange(rings + 1)[:, None] / rings
    around = 2 * np.pi * np.arange(segments + 1) / segments
    unit = [np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)]
    points = np.stack(np.broadcast_arrays(*unit), axis=-1)
    normals = points / np.asarray(radii)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return sheet(points * np.asarray(radii) + np.asarray(center), surface, normals=normals)
