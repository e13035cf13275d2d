"""Pedestrians and riders.

Local frame: x front, y left, z up, metres; the origin is on the ground.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mini_kitti.assets.materials import Material
from mini_kitti.assets.mesh import Mesh, merge
from mini_kitti.assets.raw_labels import RawLabel
from mini_kitti.assets.solids import box, cylinder, ellipsoid
from mini_kitti.assets.surface import Color, Surface, random_color
from mini_kitti.assets.two_wheelers import bicycle, motorcycle

__all__ = ["bicyclist", "motorcyclist", "person"]

_Point = tuple[float, float, float]

_TOPS = (
    (0.65, 0.12, 0.12),
    (0.15, 0.25, 0.55),
    (0.80, 0.78, 0.72),
    (0.12, 0.12, 0.14),
    (0.20, 0.42, 0.25),
    (0.75, 0.60, 0.15),
    (0.50, 0.25, 0.45),
    (0.45, 0.45, 0.47),
)
_TROUSERS = ((0.12, 0.15, 0.25), (0.08, 0.08, 0.09), (0.35, 0.30, 0.22), (0.25, 0.25, 0.27))
_SKIN = ((0.80, 0.60, 0.48), (0.62, 0.43, 0.32), (0.36, 0.24, 0.18))
_HAIR = ((0.12, 0.09, 0.07), (0.30, 0.20, 0.12), (0.55, 0.45, 0.25), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class _Clothes:
    top: Surface
    trousers: Surface
    skin: Surface
    hair: Surface

    @classmethod
    def random(cls, rng: np.random.Generator, label: RawLabel) -> _Clothes:
        def surface(palette: Sequence[Color]) -> Surface:
            color = random_color(rng, palette, (0.8, 1.15))
            return Surface(label, Material.CLOTH, color, seed=int(rng.integers(1 << 16)))

        return cls(surface(_TOPS), surface(_TROUSERS), surface(_SKIN), surface(_HAIR))


def _limb(points: Sequence[_Point], radius: float, surface: Surface) -> list[Mesh]:
    ends = itertools.pairwise(points)
    return [cylinder(a, b, radius, surface, radius * 0.8, sides=7) for a, b in ends]


def _head(x: float, z: float, clothes: _Clothes) -> list[Mesh]:
    return [
        ellipsoid((x, 0.0, z), (0.10, 0.085, 0.125), clothes.skin),
        ellipsoid((x - 0.02, 0.0, z + 0.035), (0.105, 0.092, 0.11), clothes.hair),
    ]


def person(rng: np.random.Generator, step: float | None = None) -> Mesh:
    """Make a standing or walking pedestrian between 1.5 and 1.95 m.

    Args:
        rng: Random generator.
        step: How far the right foot is ahead of the hip, metres; drawn if None.
    """
    clothes = _Clothes.random(rng, RawLabel.PERSON)
    stride, swing = rng.uniform(0.0, 0.32), rng.uniform(0.0, 0.28)
    if step is not None:
        stride, swing = step, 0.8 * step
    girth = rng.uniform(0.9, 1.2)
    parts: list[Mesh] = []
    for side, foot in ((-0.095, stride), (0.095, -stride)):
        knee = (foot * 0.5 + 0.04, side, 0.46)
        parts += _limb([(0.0, side, 0.88), knee, (foot, side, 0.06)], 0.085, clothes.trousers)
        parts.append(box((foot + 0.06, side, 0.04), (0.27, 0.1, 0.08), clothes.hair))
    parts.append(ellipsoid((0.0, 0.0, 1.22), (0.15 * girth, 0.215 * girth, 0.33), clothes.top))
    parts.append(ellipsoid((0.0, 0.0, 0.93), (0.14 * girth, 0.18 * girth, 0.17), clothes.trousers))
    for side, reach in ((-0.255, -swing), (0.255, swing)):
        arm = [(0.0, side * girth, 1.42), (reach * 0.4, side * girth * 1.1, 1.13)]
        arm.append((reach, side * girth * 1.05, 0.86))
        parts += _limb(arm, 0.055, clothes.top)
        parts.append(ellipsoid(arm[-1], (0.05, 0.04, 0.06), clothes.skin, 4, 6))
    parts.append(cylinder((0.0, 0.0, 1.44), (0.0, 0.0, 1.56), 0.055, clothes.skin, sides=6))
    parts += _head(0.02, 1.64, clothes)
    if rng.random() < 0.35:
        parts.append(box((-0.2, 0.0, 1.22), (0.18, 0.3, 0.42), clothes.trousers, (0.8, 0.9)))
    return merge(parts).placed(np.zeros(3), scale=rng.uniform(1.5, 1.95) / 1.77)


def _rider(
    rng: np.random.Generator,
    label: RawLabel,
    seat: tuple[float, float],
    hands: tuple[float, float],
    feet: tuple[float, float],
) -> tuple[Mesh, np.ndarray]:
    """Make a sitting person, of given x and z; also return the middle of the shoulders."""
    clothes = _Clothes.random(rng, label)
    hip = np.array([seat[0], 0.0, seat[1]])
    shoulder = hip + np.array([rng.uniform(0.12, 0.3), 0.0, 0.52])
    parts = [cylinder(hip - (0, 0, 0.08), shoulder, 0.16, clothes.top, 0.19)]
    for side in (-1.0, 1.0):
        knee = (hip[0] + 0.36, side * 0.13, hip[2] - 0.16 - 0.06 * side)
        foot = (feet[0], side * 0.13, feet[1] - 0.08 * side)
        parts += _limb([(hip[0], side * 0.1, hip[2]), knee, foot], 0.08, clothes.trousers)
        arm = [(shoulder[0], side * 0.22, shoulder[2] - 0.04), (hands[0], side * 0.26, hands[1])]
        parts += _limb(arm, 0.055, clothes.top)
    parts += _head(shoulder[0] + 0.06, shoulder[2] + 0.2, clothes)
    return merge(parts), shoulder


def bicyclist(rng: np.random.Generator) -> Mesh:
    """Make a bicycle with its rider; both carry the label bicyclist, as in SemanticKITTI."""
    label = RawLabel.BICYCLIST
    rider, _ = _rider(rng, label, seat=(-0.22, 0.98), hands=(0.38, 1.03), feet=(0.0, 0.3))
    return merge([bicycle(rng, label), rider])


def motorcyclist(rng: np.random.Generator) -> Mesh:
    """Make a motorcycle with its helmeted rider; both carry the label motorcyclist."""
    label = RawLabel.MOTORCYCLIST
    rider, shoulder = _rider(rng, label, seat=(-0.3, 0.96), hands=(0.4, 1.08), feet=(0.05, 0.3))
    shade = float(rng.uniform(0.05, 0.9))
    helmet = Surface(label, Material.PAINT, (shade, shade, shade))
    head = (shoulder[0] + 0.048, 0.0, shoulder[2] + 0.215)
    cover = ellipsoid(head, (0.165, 0.14, 0.165), helmet)
    return merge([motorcycle(rng, label), rider, cover])
