"""Cars, trucks, buses and trailers.

Local frame: x front, y left, z up, metres; the origin is on the ground below the middle.
Every builder takes a random generator, so that no two vehicles are the same.
"""

from __future__ import annotations

import itertools

import numpy as np

from mini_kitti.assets.materials import Material
from mini_kitti.assets.mesh import Mesh, merge
from mini_kitti.assets.raw_labels import RawLabel
from mini_kitti.assets.solids import box, cylinder, frustum, prism, quads
from mini_kitti.assets.surface import Surface, random_color

__all__ = ["PAINTS", "bus", "car", "random_paint", "trailer", "truck"]

PAINTS = (
    (0.86, 0.86, 0.86),
    (0.10, 0.10, 0.12),
    (0.55, 0.57, 0.60),
    (0.32, 0.34, 0.37),
    (0.62, 0.10, 0.10),
    (0.13, 0.22, 0.48),
    (0.12, 0.30, 0.20),
    (0.70, 0.62, 0.45),
    (0.75, 0.33, 0.08),
    (0.22, 0.40, 0.62),
)
_Interval = tuple[float, float]

_GLASS = (0.10, 0.13, 0.16)
_DARK = (0.07, 0.07, 0.08)


def random_paint(rng: np.random.Generator, label: RawLabel) -> Surface:
    """Return a car paint of a random colour."""
    color = random_color(rng, PAINTS, (0.85, 1.1), (0.03, 0.95))
    return Surface(label, Material.PAINT, color, seed=int(rng.integers(1 << 20)))


def _rect(x: _Interval, y: _Interval, z: _Interval, surface: Surface) -> Mesh:
    """Make a rectangle; exactly one of the three intervals has zero length (the normal's axis).

    The order of that interval's other two axes makes the normal point to its positive side;
    a negative side is the same rectangle, as rendering looks at both sides.
    """
    if x[0] == x[1]:
        corners = [(x[0], y[0], z[0]), (x[0], y[1], z[0]), (x[0], y[1], z[1]), (x[0], y[0], z[1])]
    else:
        corners = [(x[0], y[0], z[0]), (x[1], y[0], z[0]), (x[1], y[0], z[1]), (x[0], y[0], z[1])]
    return quads([corners], surface)


def _wheels(label: RawLabel, xs: list[float], width: float, radius: float, tread: float) -> Mesh:
    tyre = Surface(label, Material.RUBBER, (0.05, 0.05, 0.055))
    rim = Surface(label, Material.METAL, (0.55, 0.56, 0.58))
    parts = []
    for x in xs:
        for side in (-1.0, 1.0):
            outer, inner = side * (width / 2 + 0.015), side * (width / 2 - tread)
            parts.append(cylinder((x, inner, radius), (x, outer, radius), radius, tyre, sides=14))
            hub = (x, outer, radius), (x, outer + side * 0.01, radius)
            parts.append(cylinder(*hub, radius * 0.6, rim, sides=10))
    return merge(parts)


def _lights(label: RawLabel, length: float, width: float, height: float) -> Mesh:
    """Headlights, red tail lights and plates, just outside of the body."""
    white = Surface(label, Material.LAMP, (0.95, 0.93, 0.85))
    red = Surface(label, Material.LAMP, (0.70, 0.05, 0.05))
    plate = Surface(label, Material.LAMP, (0.88, 0.88, 0.86))
    front, rear = length / 2 + 0.012, -length / 2 - 0.012
    inner, outer = 0.27 * width, 0.46 * width
    parts = []
    for low, high in ((inner, outer), (-outer, -inner)):
        parts.append(_rect((front, front), (low, high), (height, height + 0.13), white))
        parts.append(_rect((rear, rear), (low, high), (height + 0.02, height + 0.2), red))
    for x in (front, rear):
        parts.append(_rect((x, x), (-0.26, 0.26), (height - 0.16, height - 0.05), plate))
    return merge(parts)


def car(rng: np.random.Generator) -> Mesh:
    """Make a hatchback, saloon, estate, off-roader or small van."""
    label = RawLabel.CAR
    kind = rng.choice(["hatch", "saloon", "estate", "suv", "van"], p=[0.3, 0.25, 0.2, 0.15, 0.1])
    length, height = {
        "hatch": (3.85, 1.46),
        "saloon": (4.55, 1.43),
        "estate": (4.55, 1.48),
        "suv": (4.5, 1.68),
        "van": (4.8, 1.92),
    }[kind]
    length, height = length * rng.uniform(0.92, 1.08), height * rng.uniform(0.95, 1.06)
    width = rng.uniform(1.66, 1.88)
    belt, clearance = 0.6 * height, 0.24 + (0.08 if kind == "suv" else 0.0)
    half = length / 2
    # x of the greenhouse: rear foot, rear roof, front roof, front foot.
    rear_foot, rear_roof, front_roof, front_foot = {
        "hatch": (-0.48, -0.37, 0.06, 0.24),
        "saloon": (-0.36, -0.22, 0.08, 0.22),
        "estate": (-0.48, -0.40, 0.07, 0.22),
        "suv": (-0.48, -0.41, 0.08, 0.21),
        "van": (-0.49, -0.46, 0.22, 0.36),
    }[kind]
    paint = random_paint(rng, label)
    glass = Surface(label, Material.GLASS, _GLASS)
    dark = Surface(label, Material.RUBBER, _DARK)
    nose = belt - 0.17 if kind != "van" else belt - 0.1
    profile = [
        (-half + 0.06, clearance),
        (half - 0.10, clearance),
        (half, clearance + 0.16),
        (half - 0.02, nose - 0.07),
        (half - 0.16, nose),
        (front_foot * length + 0.02, belt),
        (rear_foot * length, belt),
        (-half + 0.03, belt - 0.06),
        (-half, belt - 0.3),
    ]
    body = prism(profile, width, paint, top_width=width * 0.95)
    foot, roof = width * 0.46, width * 0.385

    def ring(x_rear: float, x_front: float, y: float, z: float) -> np.ndarray:
        return np.array([(x_rear, -y, z), (x_front, -y, z), (x_front, y, z), (x_rear, y, z)])

    bottom = ring(rear_foot * length, front_foot * length, foot, belt - 0.01)
    top = ring(rear_roof * length, front_roof * length, roof, height)
    cabin = frustum(bottom, top, glass)
    lid = top + np.array([0.0, 0.0, 0.012])
    parts = [body, cabin, frustum(top * np.array([1.01, 1.01, 1.0]), lid, paint)]
    # Pillars: thin painted strips just outside of the glass.
    for share in (0.02, 0.38, 0.72, 0.98):
        low = bottom[[0, 3]] + share * (bottom[[1, 2]] - bottom[[0, 3]])
        high = top[[0, 3]] + share * (top[[1, 2]] - top[[0, 3]])
        out = np.array([[0.0, -0.012, 0.0], [0.0, 0.012, 0.0]])
        half_strip = np.array([0.04, 0.0, 0.0])
        strip = [low + out - half_strip, low + out + half_strip]
        strip += [high + out + half_strip, high + out - half_strip]
        parts.append(quads(np.stack(strip, axis=1), paint))
    sill = box((0.0, 0.0, clearance + 0.02), (0.96 * length, width * 0.985, 0.16), dark)
    axles = [0.31 * length, -0.30 * length]
    parts += [sill, _wheels(label, axles, width, rng.uniform(0.29, 0.35), 0.2)]
    parts.append(_lights(label, length, width, clearance + 0.28))
    return merge(parts)


def truck(rng: np.random.Generator) -> Mesh:
    """Make a lorry with a cab and a box or a flat bed."""
    label = RawLabel.TRUCK
    length, width = rng.uniform(6.2, 8.6), rng.uniform(2.2, 2.5)
    cab_height, cargo_height = rng.uniform(2.4, 2.9), rng.uniform(2.8, 3.5)
    paint, cargo = random_paint(rng, label), random_paint(rng, label)
    dark = Surface(label, Material.RUBBER, _DARK)
    glass = Surface(label, Material.GLASS, _GLASS)
    front, cab_back = length / 2, length / 2 - 1.9
    cab = [
        (cab_back, 0.5),
        (front, 0.5),
        (front, 1.45),
        (front - 0.22, cab_height),
        (cab_back, cab_height),
    ]
    windscreen = np.array(
        [
            (front - 0.005, -0.44 * width, 1.5),
            (front - 0.005, 0.44 * width, 1.5),
            (front - 0.175, 0.41 * width, cab_height - 0.2),
            (front - 0.175, -0.41 * width, cab_height - 0.2),
        ]
    ) + np.array([0.02, 0.0, 0.0])
    parts = [prism(cab, width * 0.96, paint), quads(windscreen[None], glass)]
    for side in (-1.0, 1.0):
        y = side * (width * 0.48 + 0.012)
        window = (front - 1.3, front - 0.35), (y, y), (1.5, cab_height - 0.3)
        parts.append(_rect(*window, glass))
    bed_middle = (cab_back - 0.12 - length / 2) / 2
    bed_length = cab_back - 0.12 + length / 2
    if rng.random() < 0.75:
        size = (bed_length, width, cargo_height - 1.0)
        parts.append(box((bed_middle, 0.0, (cargo_height + 1.0) / 2), size, cargo))
    else:
        wood = Surface(label, Material.WOOD, (0.35, 0.27, 0.2))
        parts.append(box((bed_middle, 0.0, 1.35), (bed_length, width, 0.75), wood))
    parts.append(box((0.0, 0.0, 0.8), (length * 0.97, width * 0.5, 0.4), dark))
    axles = [front - 0.95, -length / 2 + 1.2, -length / 2 + 2.4]
    parts += [_wheels(label, axles, width * 0.96, 0.48, 0.32), _lights(label, length, width, 0.75)]
    return merge(parts)


def bus(rng: np.random.Generator) -> Mesh:
    """Make a bus (raw label other-vehicle) with bands of windows."""
    label = RawLabel.OTHER_VEHICLE
    length, width, height = rng.uniform(8.5, 11.5), 2.5, rng.uniform(2.9, 3.2)
    paint = random_paint(rng, label)
    glass = Surface(label, Material.GLASS, _GLASS)
    band = Surface(label, Material.PAINT, (0.85, 0.82, 0.75))
    parts = [
        box((0.0, 0.0, 0.95), (length, width, 1.2), paint),
        box(
            (0.0, 0.0, (1.55 + height) / 2),
            (length, width * 0.99, height - 1.55),
            band,
            (0.985, 0.9),
        ),
    ]
    count = int(length / 1.35)
    edges = np.linspace(-length / 2 + 0.3, length / 2 - 0.3, count + 1)
    for side in (-1.0, 1.0):
        y = side * (width / 2 + 0.012)
        for low, high in itertools.pairwise(edges):
            parts.append(_rect((low + 0.06, high - 0.06), (y, y), (1.5, height - 0.5), glass))
        x = side * (length / 2 + 0.012)
        parts.append(_rect((x, x), (-1.08, 1.08), (1.35, height - 0.45), glass))
    axles = [0.32 * length, -0.28 * length]
    parts += [_wheels(label, axles, width, 0.48, 0.3), _lights(label, length, width, 0.7)]
    return merge(parts)


def trailer(rng: np.random.Generator) -> Mesh:
    """Make a caravan (raw label other-vehicle)."""
    label = RawLabel.OTHER_VEHICLE
    length, width, height = rng.uniform(4.2, 5.8), 2.2, rng.uniform(2.4, 2.65)
    light = rng.uniform(0.72, 0.88)
    shell = Surface(label, Material.PAINT, (light, light, light * 0.96), seed=int(rng.integers(99)))
    stripe = Surface(label, Material.PAINT, PAINTS[rng.integers(4, len(PAINTS))])
    glass = Surface(label, Material.GLASS, _GLASS)
    half = length / 2
    profile = [
        (-half + 0.2, 0.4),
        (half - 0.3, 0.4),
        (half, 1.0),
        (half - 0.25, height - 0.1),
        (half - 0.6, height),
        (-half + 0.3, height),
        (-half, height - 0.4),
        (-half, 0.8),
    ]
    parts = [prism(profile, width, shell)]
    for side in (-1.0, 1.0):
        y = side * (width / 2 + 0.012)
        parts.append(_rect((-half + 0.15, half - 0.2), (y, y), (0.95, 1.15), stripe))
        parts.append(_rect((-0.3 * length, -0.05 * length), (y, y), (1.35, 1.95), glass))
        parts.append(_rect((0.12 * length, 0.34 * length), (y, y), (1.35, 1.95), glass))
    x = -half - 0.012
    parts.append(_rect((x, x), (-0.7, 0.7), (1.3, 1.9), glass))
    steel = Surface(label, Material.METAL, (0.35, 0.35, 0.36))
    parts.append(cylinder((half - 0.2, 0.0, 0.5), (half + 0.9, 0.0, 0.45), 0.06, steel))
    parts.append(_wheels(label, [-0.1], width, 0.32, 0.2))
    return merge(parts)
