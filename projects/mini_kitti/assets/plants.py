"""Trees, bushes and hedges: smooth cores covered with small leaf cards.

Local frame: x front, y left, z up, metres; the origin is on the ground.
"""

from __future__ import annotations

import numpy as np

from mini_kitti.assets.materials import Material
from mini_kitti.assets.mesh import Mesh, merge
from mini_kitti.assets.raw_labels import RawLabel
from mini_kitti.assets.solids import box, cylinder, ellipsoid
from mini_kitti.assets.surface import Surface, as_color

__all__ = ["bush", "hedge", "tree", "tree_line"]

_GREENS = (
    (0.20, 0.32, 0.10),
    (0.27, 0.38, 0.13),
    (0.16, 0.27, 0.10),
    (0.36, 0.40, 0.14),
    (0.42, 0.34, 0.12),
)


def _leaf_surface(rng: np.random.Generator, brightness: float = 1.0) -> Surface:
    green = np.array(_GREENS[rng.choice(len(_GREENS), p=[0.3, 0.25, 0.2, 0.15, 0.1])])
    color = as_color(green * rng.uniform(0.8, 1.2) * brightness)
    return Surface(RawLabel.VEGETATION, Material.LEAF, color, seed=int(rng.integers(1 << 20)))


def _leaf_cards(
    rng: np.random.Generator, base: np.ndarray, normal: np.ndarray, size: float, surface: Surface
) -> Mesh:
    """Make randomly turned triangles around given points.

    The shading normal is that of the crown, so that a crown is lit as a rounded body although its
    leaves point everywhere; each leaf has its own brightness.

    Args:
        rng: Random generator.
        base: (N, 3) middle of each leaf clump.
        normal: (N, 3) normal of the crown there.
        size: Mean edge length in metres.
        surface: Look and label.
    """
    count = len(base)
    first = rng.normal(size=(count, 3))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(first, rng.normal(size=(count, 3)))
    second /= np.maximum(np.linalg.norm(second, axis=1, keepdims=True), 1e-6)
    scale = size * rng.uniform(0.6, 1.4, size=(count, 1))
    corners = np.stack(
        [
            base - 0.5 * scale * first - 0.35 * scale * second,
            base + 0.5 * scale * first - 0.3 * scale * second,
            base + 0.65 * scale * second,
        ],
        axis=1,
    )
    mesh = Mesh.from_triangles(corners, surface, normals=np.repeat(normal[:, None], 3, axis=1))
    mesh.color *= rng.uniform(0.7, 1.3, size=(count, 1))
    mesh.uv += rng.uniform(0, 50, size=(count, 1, 2))
    return mesh


def _leafy_ellipsoid(
    rng: np.random.Generator,
    center: np.ndarray,
    radii: np.ndarray,
    leaves: int,
    size: float,
    surface: Surface,
) -> list[Mesh]:
    direction = rng.normal(size=(leaves, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    # Leaves touch the core, whatever the size of the crown.
    share = size / radii.mean()
    reach = 1.0 + share * rng.uniform(-0.45, 0.25, size=(leaves, 1))
    normal = direction / radii
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    core = ellipsoid(center, radii * max(0.6, 1.0 - 0.45 * share), surface.tinted(0.75))
    return [core, _leaf_cards(rng, center + direction * reach * radii, normal, size, surface)]


def _conifer(
    rng: np.random.Generator, height: float, radius: float, bark: Surface, leaf: Surface
) -> Mesh:
    parts = [cylinder((0, 0, -0.3), (0, 0, height * 0.3), radius, bark, radius * 0.8)]
    for low, width in ((0.16, 0.24), (0.38, 0.18), (0.6, 0.11)):
        bottom, top = (0, 0, low * height), (0, 0, (low + 0.4) * height)
        parts.append(cylinder(bottom, top, width * height, leaf, 0.02))
        share, angle = np.sqrt(rng.uniform(0, 1, 160)), rng.uniform(0, 2 * np.pi, 160)
        spoke = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(160)])
        base = spoke * (share * width * height * 1.05)[:, None]
        base[:, 2] = (low + 0.4 * (1 - share)) * height
        parts.append(_leaf_cards(rng, base, spoke * 0.9 + (0, 0, 0.45), 0.4, leaf))
    return merge(parts)


def tree(rng: np.random.Generator, height: float) -> Mesh:
    """Make a broad-leaved tree or, one time in six, a conifer, of a height in metres."""
    leaf = _leaf_surface(rng)
    color = as_color(np.array((0.30, 0.24, 0.18)) * rng.uniform(0.75, 1.2))
    bark = Surface(RawLabel.TRUNK, Material.BARK, color, seed=int(rng.integers(1 << 16)))
    radius = height * rng.uniform(0.018, 0.028) + 0.04
    if rng.random() < 1 / 6:
        return _conifer(rng, height, radius, bark, leaf)
    fork = height * rng.uniform(0.34, 0.44)
    lean = rng.normal(0, 0.03 * height, 2)
    top = (lean[0], lean[1], fork)
    parts = [cylinder((0, 0, -0.3), top, radius, bark, radius * 0.75, sides=9, caps=False)]
    spread = height * rng.uniform(0.2, 0.3)
    num_clumps = int(rng.integers(3, 6))
    for k in range(num_clumps):
        angle = 2 * np.pi * (k + rng.uniform(-0.3, 0.3)) / num_clumps
        out = spread * rng.uniform(0.35, 0.7) * (k > 0)
        middle = np.array(
            [
                lean[0] + out * np.cos(angle),
                lean[1] + out * np.sin(angle),
                height * (0.80 if k == 0 else rng.uniform(0.58, 0.74)),
            ]
        )
        radii = spread * rng.uniform(0.6, 0.9) * np.array([1.0, 1.0, rng.uniform(0.7, 0.95)])
        radii[2] = min(radii[2], max(height - middle[2], 0.5))
        parts.append(cylinder(top, middle, radius * 0.55, bark, radius * 0.25, 6, caps=False))
        leaves = int(np.clip(105 * radii[0] * radii[0], 60, 450))
        parts += _leafy_ellipsoid(rng, middle, radii, leaves, 0.33, leaf)
    return merge(parts)


def bush(rng: np.random.Generator, size: float) -> Mesh:
    """Make a bush of about ``size`` metres across."""
    leaf = _leaf_surface(rng, 0.95)
    parts: list[Mesh] = []
    for _ in range(int(rng.integers(1, 4))):
        radii = (
            size
            * rng.uniform(0.3, 0.5)
            * np.array([1.0, rng.uniform(0.8, 1.2), rng.uniform(0.7, 1.1)])
        )
        center = np.array([*rng.normal(0, size * 0.2, 2), radii[2] * 0.75])
        parts += _leafy_ellipsoid(rng, center, radii, int(70 + 60 * size), 0.2 + 0.05 * size, leaf)
    return merge(parts)


def hedge(rng: np.random.Generator, length: float, height: float, depth: float) -> Mesh:
    """Make a straight hedge along x, centred at the origin."""
    leaf = _leaf_surface(rng, 0.85)
    count = int(length * (height + depth) * 14)
    base = rng.uniform(-0.5, 0.5, (count, 3)) * np.array([length, depth, height])
    base[:, 2] += height / 2
    side = rng.choice([-1.0, 0.0, 1.0], size=count, p=[0.4, 0.2, 0.4])
    base[:, 1] = np.where(side == 0, base[:, 1], side * depth / 2)
    base[:, 2] = np.where(side == 0, height, base[:, 2])
    normal = np.column_stack([np.zeros(count), side, (side == 0).astype(float)])
    core = box((0, 0, height / 2), (length, depth * 0.94, height * 0.98), leaf.tinted(0.8))
    return merge([core, _leaf_cards(rng, base, normal, 0.16, leaf)])


def tree_line(rng: np.random.Generator, length: float, height: float) -> Mesh:
    """Make a far row of tree crowns along x: no trunks, few cards, for the horizon."""
    parts: list[Mesh] = []
    for x in np.arange(-length / 2, length / 2, height * 0.55):
        leaf = _leaf_surface(rng, 0.9)
        tall = height * rng.uniform(0.7, 1.2)
        radii = np.array([tall * 0.45, tall * 0.4, tall * 0.55])
        center = np.array([x + rng.normal(0, 1.0), rng.normal(0, 2.0), tall * 0.45])
        parts += _leafy_ellipsoid(rng, center, radii, 120, 0.9, leaf)
    return merge(parts)
