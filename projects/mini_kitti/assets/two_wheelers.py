"""Bicycles and motorcycles.

Local frame: x front, y left, z up, metres; the origin is on the ground below the middle.
"""

from __future__ import annotations

import numpy as np

from mini_kitti.assets.materials import Material
from mini_kitti.assets.mesh import Mesh, merge
from mini_kitti.assets.raw_labels import RawLabel
from mini_kitti.assets.solids import box, cylinder, ellipsoid, prism, ring
from mini_kitti.assets.surface import Surface, random_color
from mini_kitti.assets.vehicles import PAINTS, random_paint

__all__ = ["bicycle", "motorcycle"]


def bicycle(rng: np.random.Generator, label: RawLabel = RawLabel.BICYCLE) -> Mesh:
    """Make a bicycle; tubes are a little thick, so that lidar and small images see them."""
    tyre = Surface(label, Material.RUBBER, (0.06, 0.06, 0.06))
    color = random_color(rng, PAINTS, (0.8, 1.1), (0.04, 0.95))
    frame = Surface(label, Material.PAINT, color)
    radius, base = 0.34, rng.uniform(0.5, 0.56)
    hub_rear, hub_front = (-base, 0.0, radius), (base, 0.0, radius)
    crank, seat, head = (-0.08, 0.0, 0.30), (-0.22, 0.0, 0.82), (0.36, 0.0, 0.84)
    tubes = [(hub_rear, crank), (hub_rear, seat), (crank, seat), (crank, head), (seat, head)]
    tubes.append((head, hub_front))
    parts = [cylinder(a, b, 0.028, frame, sides=5) for a, b in tubes]
    parts += [ring((x, 0.0, radius), radius, radius - 0.0825, 0.045, tyre) for x in (-base, base)]
    parts.append(cylinder((0.40, -0.28, 1.0), (0.40, 0.28, 1.0), 0.022, tyre, sides=5))
    parts.append(cylinder(head, (0.40, 0.0, 1.0), 0.022, tyre, sides=5))
    parts.append(box((-0.24, 0.0, 0.90), (0.28, 0.16, 0.07), tyre))
    if rng.random() < 0.6:
        wire = Surface(label, Material.METAL, (0.25, 0.25, 0.26))
        parts.append(box((0.62, 0.0, 0.86), (0.3, 0.34, 0.24), wire))
    if rng.random() < 0.6:
        parts.append(box((-0.55, 0.0, 0.74), (0.36, 0.14, 0.05), tyre))
    return merge(parts)


def motorcycle(rng: np.random.Generator, label: RawLabel = RawLabel.MOTORCYCLE) -> Mesh:
    """Make a motorcycle or a scooter."""
    tyre = Surface(label, Material.RUBBER, (0.05, 0.05, 0.05))
    steel = Surface(label, Material.METAL, (0.45, 0.45, 0.47))
    paint = random_paint(rng, label)
    lamp = Surface(label, Material.LAMP, (0.9, 0.88, 0.8))
    base = rng.uniform(0.66, 0.76)
    parts = [
        cylinder((x, -0.075, 0.31), (x, 0.075, 0.31), 0.31, tyre, sides=14) for x in (-base, base)
    ]
    parts += [cylinder((x, -0.085, 0.31), (x, 0.085, 0.31), 0.17, steel) for x in (-base, base)]
    parts.append(box((0.0, 0.0, 0.48), (0.75, 0.3, 0.36), steel))
    parts.append(ellipsoid((0.22, 0.0, 0.82), (0.36, 0.2, 0.17), paint))
    parts.append(box((-0.38, 0.0, 0.82), (0.7, 0.28, 0.13), tyre, (0.95, 0.8)))
    parts.append(prism([(-0.9, 0.72), (-0.5, 0.6), (-0.4, 0.78), (-0.9, 0.9)], 0.24, paint))
    for side in (-0.1, 0.1):
        parts.append(cylinder((base, side, 0.31), (0.48, side, 1.0), 0.035, steel, sides=6))
    parts.append(cylinder((0.42, -0.36, 1.06), (0.42, 0.36, 1.06), 0.028, tyre, sides=6))
    parts.append(box((0.56, 0.0, 0.96), (0.12, 0.22, 0.22), lamp))
    parts.append(cylinder((-0.8, -0.2, 0.42), (0.0, -0.2, 0.3), 0.055, steel, sides=6))
    if rng.random() < 0.5:
        shield = [(0.45, 0.55), (0.62, 0.6), (0.58, 1.2), (0.46, 1.28)]
        parts.append(prism(shield, 0.42, paint))
    if rng.random() < 0.5:
        parts.append(box((-0.82, 0.0, 1.05), (0.36, 0.38, 0.32), tyre, (0.9, 0.9)))
    return merge(parts)
