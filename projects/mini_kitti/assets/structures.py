"""Buildings, fences, walls, lamp posts and traffic signs.

Local frame: x along the street, y away from it (buildings) or left, z up, metres; origin on the
ground.
"""

from __future__ import annotations

import numpy as np

from mini_kitti.assets.materials import Material
from mini_kitti.assets.mesh import Mesh, merge
from mini_kitti.assets.raw_labels import RawLabel
from mini_kitti.assets.solids import box, cylinder, quads
from mini_kitti.assets.surface import Color, Surface, as_color, random_color

__all__ = ["building", "fence", "lamp_post", "traffic_sign"]

_PLASTERS = (
    (0.83, 0.80, 0.72),
    (0.78, 0.66, 0.48),
    (0.70, 0.72, 0.74),
    (0.80, 0.60, 0.50),
    (0.88, 0.87, 0.84),
    (0.62, 0.66, 0.58),
    (0.72, 0.55, 0.42),
    (0.86, 0.78, 0.55),
)
_BRICKS = ((0.52, 0.28, 0.20), (0.58, 0.38, 0.28), (0.45, 0.32, 0.27))
_ROOFS = ((0.50, 0.24, 0.17), (0.33, 0.20, 0.17), (0.27, 0.27, 0.29), (0.42, 0.30, 0.24))


def building(rng: np.random.Generator, width: float, depth: float, storeys: int) -> Mesh:
    """Make a house with textured windows and a gable or flat roof.

    The street side is y = 0; the house reaches to y = depth. params of the walls: window pitch,
    storey height, window width, window height (metres).

    Args:
        rng: Random generator.
        width: Extent along the street.
        depth: Extent away from the street.
        storeys: Number of floors; tall houses are more likely to have flat roofs.
    """
    storey = rng.uniform(2.6, 3.2)
    height = storeys * storey + rng.uniform(0.3, 0.9)
    brick = rng.random() < 0.25
    color = random_color(rng, _BRICKS if brick else _PLASTERS, (0.85, 1.1))
    pitch = rng.uniform(2.0, 3.4)
    pitch = width / max(1, round(width / pitch))
    window = (pitch * rng.uniform(0.36, 0.55), storey * rng.uniform(0.42, 0.56))
    wall = Surface(
        RawLabel.BUILDING,
        Material.BRICK if brick else Material.FACADE,
        color,
        (pitch, storey, *window),
        seed=int(rng.integers(1 << 20)),
    )
    half, low = width / 2, -1.5
    ring = [(-half, 0.0), (half, 0.0), (half, depth), (-half, depth)]
    corners, uv = [], []
    for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True):
        length = float(np.hypot(x1 - x0, y1 - y0))
        corners.append([(x0, y0, low), (x1, y1, low), (x1, y1, height), (x0, y0, height)])
        uv.append([(0.0, low), (length, low), (length, height), (0.0, height)])
    parts = [quads(corners, wall, uv)]
    tile = random_color(rng, _ROOFS, (0.85, 1.15))
    roof = Surface(RawLabel.BUILDING, Material.ROOF, tile, seed=int(rng.integers(1 << 16)))
    trim = Surface(RawLabel.BUILDING, Material.CONCRETE, color).tinted(0.8)
    if rng.random() < (0.25 if storeys < 4 else 0.7):
        parts.append(box((0, depth / 2, height + 0.15), (width + 0.3, depth + 0.3, 0.3), trim))
    else:
        parts.append(_gable(width, depth, height, rng.uniform(0.55, 0.95), roof, wall))
    if rng.random() < 0.45 and storeys > 1:
        parts.append(_balconies(rng, pitch, storey, storeys, half, trim))
    # A porch or shop awning gives the ground floor its own relief.
    if rng.random() < 0.6:
        x = rng.uniform(-half * 0.6, half * 0.6)
        parts.append(box((x, -0.45, 2.45), (rng.uniform(1.4, 2.6), 0.9, 0.12), roof))
    return merge(parts)


def _gable(
    width: float, depth: float, height: float, slope: float, roof: Surface, wall: Surface
) -> Mesh:
    over, half, ridge = 0.4, width / 2, height + slope * depth / 2
    eave = height - slope * over
    left, right = -half - over, half + over
    front = [
        (left, -over, eave),
        (right, -over, eave),
        (right, depth / 2, ridge),
        (left, depth / 2, ridge),
    ]
    back = [(right, depth + over, eave), (left, depth + over, eave)]
    back += [(left, depth / 2, ridge), (right, depth / 2, ridge)]
    parts = [quads([front, back], roof)]
    ends = [[(x, 0.0, height), (x, depth, height), (x, depth / 2, ridge)] for x in (-half, half)]
    uv = [[(0.0, height), (depth, height), (depth / 2, ridge)]] * 2
    parts.append(Mesh.from_triangles(ends, wall, uv))
    chimney = Surface(RawLabel.BUILDING, Material.CONCRETE, (0.42, 0.3, 0.26))
    parts.append(box((half * 0.45, depth * 0.35, ridge - 0.2), (0.7, 0.6, 1.9), chimney))
    return merge(parts)


def _balconies(
    rng: np.random.Generator, pitch: float, storey: float, storeys: int, half: float, trim: Surface
) -> Mesh:
    column = rng.integers(max(1, int(2 * half / pitch)))
    x = -half + (column + 0.5) * pitch
    parts = []
    for floor in range(1, storeys):
        z = floor * storey
        parts.append(box((x, -0.55, z), (pitch * 0.9, 1.1, 0.16), trim))
        parts.append(box((x, -1.06, z + 0.55), (pitch * 0.9, 0.07, 0.9), trim.tinted(0.8)))
    return merge(parts)


def fence(rng: np.random.Generator, length: float) -> Mesh:
    """Make a fence along x, centred at the origin: pickets, boards, rails or a brick wall."""
    kind = rng.choice(["pickets", "boards", "rails", "wall"], p=[0.35, 0.25, 0.2, 0.2])
    height = rng.uniform(0.9, 1.3) if kind in ("pickets", "rails") else rng.uniform(1.2, 1.9)
    tone = rng.uniform(0.8, 1.2)
    seed = int(rng.integers(1 << 16))

    def surface(material: Material, color: Color) -> Surface:
        return Surface(RawLabel.FENCE, material, as_color(np.array(color) * tone), seed=seed)

    wood = surface(Material.WOOD, ((0.45, 0.33, 0.22), (0.75, 0.73, 0.68))[rng.integers(2)])
    half = length / 2
    posts = np.linspace(-half, half, max(2, round(length / 2.2) + 1))
    if kind == "wall":
        brick = surface(
            Material.CONCRETE, ((0.55, 0.50, 0.45), (0.62, 0.62, 0.60))[rng.integers(2)]
        )
        wall = box((0, 0, height * 0.4), (length, 0.22, height * 0.8), brick)
        return merge([wall, box((0, 0, height * 0.82), (length, 0.3, 0.1), brick.tinted(1.1))])
    if kind == "rails":
        steel = surface(Material.METAL, ((0.30, 0.32, 0.34), (0.16, 0.25, 0.20))[rng.integers(2)])
        parts = [box((x, 0, height / 2), (0.08, 0.08, height), steel) for x in posts]
        for level in (0.3, 0.65, 0.96):
            parts.append(box((0, 0, height * level), (length, 0.06, 0.1), steel))
        return merge(parts)
    parts = [box((x, 0.06, height / 2), (0.11, 0.11, height), wood.tinted(0.85)) for x in posts]
    if kind == "boards":
        return merge([*parts, box((0, 0, height * 0.5), (length, 0.05, height * 0.94), wood)])
    for level in (0.28, 0.8):
        parts.append(box((0, 0.04, height * level), (length, 0.04, 0.09), wood))
    x = np.arange(-half, half, 0.17)
    stakes = np.zeros((len(x), 4, 3))
    stakes[..., 0] = x[:, None] + (0.0, 0.115, 0.115, 0.0)
    stakes[..., 2] = (0.06, 0.06, height, height)
    return merge([*parts, quads(stakes, wood)])


def lamp_post(rng: np.random.Generator) -> Mesh:
    """Make a street lamp or a plain pole with an arm towards -y (the street)."""
    label = RawLabel.POLE
    color = ((0.45, 0.47, 0.48), (0.20, 0.24, 0.22), (0.36, 0.30, 0.24))[rng.integers(3)]
    steel = Surface(label, Material.METAL, color)
    height, radius = rng.uniform(4.5, 8.0), rng.uniform(0.09, 0.14)
    parts = [cylinder((0, 0, -0.3), (0, 0, height), radius, steel, radius * 0.7)]
    parts.append(cylinder((0, 0, -0.1), (0, 0, 0.9), radius * 1.5, steel, radius * 1.4))
    if rng.random() < 0.75:
        reach = rng.uniform(0.7, 1.8)
        parts.append(
            cylinder((0, 0, height - 0.1), (0, -reach, height + 0.15), 0.06, steel, sides=6)
        )
        lamp = Surface(label, Material.LAMP, (0.85, 0.84, 0.78))
        parts.append(box((0, -reach - 0.2, height + 0.13), (0.26, 0.62, 0.12), lamp))
    return merge(parts)


def traffic_sign(rng: np.random.Generator) -> Mesh:
    """Make a sign on a pole that faces traffic coming along +x (its face looks to -x).

    params of the face: shape of the pattern (0 disc with a red border, 1 blue disc, 2 triangle, 3
    diamond, 4 board), then half width and half height in metres; uv is centred on the plate.
    """
    steel = Surface(RawLabel.POLE, Material.METAL, (0.52, 0.53, 0.54))
    shape = int(rng.integers(5))
    half = rng.uniform(0.36, 0.48)
    half_height = half * (0.62 if shape == 4 else 1.0)
    middle = rng.uniform(2.1, 2.7)
    seed = int(rng.integers(1 << 16))
    params = (float(shape), half, half_height, 0.0)
    face = Surface(RawLabel.SIGN, Material.SIGN_FACE, (0.9, 0.9, 0.9), params, seed)
    if shape == 2:
        outline = np.array([(-1.0, -0.8), (1.0, -0.8), (0.0, 1.0)])
    elif shape == 3:
        outline = np.array([(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)])
    elif shape == 4:
        outline = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
    else:
        angle = 2 * np.pi * np.arange(16) / 16
        outline = np.column_stack([np.cos(angle), np.sin(angle)])
    flat = outline * np.array([half, half_height])
    succ = np.roll(flat, -1, axis=0)

    def plate(x: float, surface: Surface) -> Mesh:
        count = len(flat)

        def points(yz: np.ndarray) -> np.ndarray:
            return np.column_stack([np.full(count, x), -yz[:, 0], yz[:, 1] + middle])

        fan = np.stack([points(np.zeros((count, 2))), points(flat), points(succ)], axis=1)
        uv = np.stack([np.zeros((count, 2)), flat, succ], axis=1)
        return Mesh.from_triangles(fan, surface, uv)

    back = Surface(RawLabel.SIGN, Material.METAL, (0.5, 0.5, 0.52))
    parts = [plate(-0.075, face), plate(-0.055, back)]
    parts.append(cylinder((0, 0, -0.3), (0, 0, middle + half_height + 0.05), 0.05, steel, sides=7))
    return merge(parts)
