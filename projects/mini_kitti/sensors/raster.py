"""What a camera sees, triangle by triangle: the same hits as ray casting, several times faster.

A triangle with corners a, b, c (relative to the camera, in homogeneous pixels) is hit by the ray
through a pixel (u, v, 1) if the three products ray . (b x c), ray . (c x a), ray . (a x b) have
the sign of a . (b x c). They are linear in u and v, and they are the weights of the corners; no
triangle has to be cut at the image plane (M. Olano and T. Greer, "Triangle Scan Conversion using
2D Homogeneous Coordinates", Graphics Hardware 1997).

Shape letters in this file: C chunk of triangles; H, W image; S ray of a pixel; N ray.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from mini_kitti.street.scene import StreetScene

__all__ = ["Raster", "average_light", "rough_pixels"]

_jit = numba.njit(cache=True, error_model="numpy")

_NEAREST = 0.05  # metres: nothing nearer is drawn
_NOTHING = 1e30
_WIDE = 8  # pixels of a row from which it pays to find out which of them a triangle covers
_MARGIN = 0.5  # largest distance of a ray from the centre of its pixel


class Raster:
    """The triangles of a scene that may be seen by a camera, ready to be drawn.

    Args:
        scene: The street at a moment.
        projection: (3, 4) from world points to homogeneous pixels.
        size: Height and width of the image in pixels.
    """

    def __init__(self, scene: StreetScene, projection: np.ndarray, size: tuple[int, int]) -> None:
        chunks = scene.chunks[_chunks_in_view(scene.spheres, projection, size)]
        count = int((chunks[:, 1] - chunks[:, 0]).sum())
        self._triangles = np.empty(count, dtype=np.int64)
        self._bounds = np.empty((count, 4), dtype=np.int64)
        self._products = np.empty((count, 11))
        count = _set_up(
            scene.vertices, chunks, projection, size, self._triangles, self._bounds, self._products
        )
        self._triangles, self._bounds = self._triangles[:count], self._bounds[:count]

    def hits(
        self, slots: np.ndarray, offsets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find the first surface along rays of chosen pixels.

        Args:
            slots: (H, W) int64: the how-manieth chosen pixel each one is, -1 for the others.
            offsets: (S, 2) u, v of the rays of a pixel relative to its centre, below half a pixel.

        Returns:
            For the N = S * (number of chosen pixels) rays, those of a pixel together: depth (N,),
            inf without a hit; index of the triangle (N,), -1 without a hit; weights of the second
            and third corner (N, 2).
        """
        count = (int(slots.max()) + 1) * len(offsets)
        depth = np.full(count, _NOTHING)
        farthest = np.full(int(slots.max()) + 1, _NOTHING)
        triangle = np.full(count, -1, dtype=np.int64)
        weights = np.zeros((count, 2))
        drawn = self._triangles, self._bounds, self._products
        _draw(*drawn, slots, offsets, farthest, depth, triangle, weights)
        depth[triangle < 0] = np.inf
        return depth, triangle, weights


def _chunks_in_view(
    spheres: np.ndarray, projection: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Return which spheres (C, 4) reach into the view, the nearest first."""
    height, width = size
    p0, p1, p2 = projection
    # Half spaces in front of the camera and inside of the borders of the image, a pixel wider.
    planes = np.stack([p2, p0 + p2, p1 + p2, width * p2 - p0, height * p2 - p1])
    planes /= np.linalg.norm(planes[:, :3], axis=1, keepdims=True)
    inside = spheres[:, :3] @ planes[:, :3].T + planes[:, 3] + spheres[:, 3:]
    # A nearest-first order hides most of what comes later before it is looked at closely.
    order = np.argsort(inside[:, 0] - 2 * spheres[:, 3], kind="stable")
    return order[(inside[order] > 0).all(axis=1)]


@_jit
def _set_up(
    vertices: np.ndarray,
    chunks: np.ndarray,
    projection: np.ndarray,
    size: tuple[int, int],
    triangles: np.ndarray,
    bounds: np.ndarray,
    products: np.ndarray,
) -> int:
    """Write what :func:`_draw` needs of each triangle in the image; return their number."""
    height, width = size
    p = np.empty((3, 3))
    count = 0
    for chunk in range(len(chunks)):
        for f in range(chunks[chunk, 0], chunks[chunk, 1]):
            for i in range(3):
                x, y, z = vertices[f, i, 0], vertices[f, i, 1], vertices[f, i, 2]
                for k in range(3):
                    row = projection[k]
                    p[i, k] = row[0] * x + row[1] * y + row[2] * z + row[3]
            if max(p[0, 2], p[1, 2], p[2, 2]) <= _NEAREST:
                continue
            left, right, top, bottom = _extent(p)
            bounds[count, 0] = math.ceil(max(left - _MARGIN, 0.0))
            bounds[count, 1] = math.floor(min(right + _MARGIN, width - 1.0))
            bounds[count, 2] = math.ceil(max(top - _MARGIN, 0.0))
            bounds[count, 3] = math.floor(min(bottom + _MARGIN, height - 1.0))
            if bounds[count, 0] > bounds[count, 1] or bounds[count, 2] > bounds[count, 3]:
                continue
            triangles[count] = f
            products[count, 9] = _products(p, products[count])
            products[count, 10] = min(p[0, 2], p[1, 2], p[2, 2])
            count += products[count, 9] > 0.0
    return count


@_jit
def _draw(
    triangles: np.ndarray,
    bounds: np.ndarray,
    products: np.ndarray,
    slots: np.ndarray,
    offsets: np.ndarray,
    farthest: np.ndarray,
    depth: np.ndarray,
    triangle: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Write the nearest of the triangles along each ray; see :meth:`Raster.hits`."""
    samples = len(offsets)
    for f in range(len(triangles)):
        a0, a1, a2 = products[f, 0], products[f, 1], products[f, 2]
        b0, b1, b2 = products[f, 3], products[f, 4], products[f, 5]
        c0, c1, c2 = products[f, 6], products[f, 7], products[f, 8]
        volume, nearest = products[f, 9], products[f, 10]
        for row in range(bounds[f, 2], bounds[f, 3] + 1):
            first, last = bounds[f, 0], bounds[f, 1]
            if last - first > _WIDE:
                first, last = _cut(a0, a1 * row + a2, abs(a1), first, last)
                first, last = _cut(b0, b1 * row + b2, abs(b1), first, last)
                first, last = _cut(c0, c1 * row + c2, abs(c1), first, last)
            for column in range(first, last + 1):
                slot = slots[row, column]
                if slot < 0 or nearest >= farthest[slot]:
                    continue
                far = 0.0
                for s in range(samples):
                    at = slot * samples + s
                    u, v = column + offsets[s, 0], row + offsets[s, 1]
                    w0 = a0 * u + a1 * v + a2
                    w1 = b0 * u + b1 * v + b2
                    w2 = c0 * u + c1 * v + c2
                    total = w0 + w1 + w2
                    inside = w0 >= 0.0 and w1 >= 0.0 and w2 >= 0.0
                    if inside and volume < depth[at] * total:
                        depth[at] = volume / total
                        triangle[at] = triangles[f]
                        weights[at, 0] = w1 / total
                        weights[at, 1] = w2 / total
                    far = max(far, depth[at])
                farthest[slot] = far


@_jit
def _cut(slope: float, start: float, across: float, first: int, last: int) -> tuple[int, int]:
    """Leave out columns of a row on whose rays a weight of a corner is negative.

    Args:
        slope: What the weight grows with each column.
        start: The weight at column 0.
        across: How much it changes with each row.
        first: First column.
        last: Last column.
    """
    # Rays lie around the middle of their pixel.
    needed = -start - _MARGIN * (abs(slope) + across)
    if slope > 0.0:
        first = max(first, math.floor(min(needed / slope, last + 1.0)))
    elif slope < 0.0:
        last = min(last, math.ceil(max(needed / slope, first - 1.0)))
    return first, last


@_jit
def _extent(p: np.ndarray) -> tuple[float, float, float, float]:
    """Return left, right, top and bottom pixel of the part of a triangle before the camera."""
    left, right, top, bottom = np.inf, -np.inf, np.inf, -np.inf
    for i in range(3):
        z, after = p[i, 2], p[(i + 1) % 3, 2]
        if z > _NEAREST:
            u, v = p[i, 0] / z, p[i, 1] / z
            left, right, top, bottom = min(left, u), max(right, u), min(top, v), max(bottom, v)
        if (z > _NEAREST) != (after > _NEAREST):
            share = (_NEAREST - z) / (after - z)
            u = (p[i, 0] + share * (p[(i + 1) % 3, 0] - p[i, 0])) / _NEAREST
            v = (p[i, 1] + share * (p[(i + 1) % 3, 1] - p[i, 1])) / _NEAREST
            left, right, top, bottom = min(left, u), max(right, u), min(top, v), max(bottom, v)
    return left, right, top, bottom


@_jit
def _products(p: np.ndarray, n: np.ndarray) -> float:
    """Write the products of two corners each into ``n``, so that that of all, returned, is >= 0."""
    for i in range(3):
        a, b = (i + 1) % 3, (i + 2) % 3
        n[3 * i] = p[a, 1] * p[b, 2] - p[a, 2] * p[b, 1]
        n[3 * i + 1] = p[a, 2] * p[b, 0] - p[a, 0] * p[b, 2]
        n[3 * i + 2] = p[a, 0] * p[b, 1] - p[a, 1] * p[b, 0]
    volume = p[0, 0] * n[0] + p[0, 1] * n[1] + p[0, 2] * n[2]
    if volume < 0.0:
        for k in range(9):
            n[k] = -n[k]
    return abs(volume)


@_jit
def rough_pixels(image: np.ndarray, contrast: float) -> np.ndarray:
    """Return which pixels (H, W) of an image (H, W, 3) differ from one to the right or below.

    Both pixels of a pair that differs by more than ``contrast`` in any colour are rough.
    """
    height, width = image.shape[:2]
    rough = np.zeros((height, width), dtype=np.bool_)
    for row in range(height):
        for column in range(width):
            for down, across in ((0, 1), (1, 0)):
                if row + down >= height or column + across >= width:
                    continue
                for k in range(3):
                    step = image[row, column, k] - image[row + down, column + across, k]
                    if abs(step) > contrast:
                        rough[row, column] = True
                        rough[row + down, column + across] = True
    return rough


@_jit
def average_light(colors: np.ndarray, slots: np.ndarray, image: np.ndarray) -> None:
    """Give pixels the mean of the light of their rays, which is not that of gamma-coded values.

    Args:
        colors: (N, 3) sRGB in [0, 1] of the rays, those of a pixel together.
        slots: (H, W) as in :meth:`Raster.hits`; pixels with -1 stay.
        image: (H, W, 3) that is changed.
    """
    height, width = slots.shape
    samples = len(colors) // (slots.max() + 1)
    for row in range(height):
        for column in range(width):
            if slots[row, column] < 0:
                continue
            first = slots[row, column] * samples
            for k in range(3):
                total = 0.0
                for s in range(samples):
                    total += colors[first + s, k] ** 2
                image[row, column, k] = math.sqrt(total / samples)
