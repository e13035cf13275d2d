"""Builds the whole street of one sequence."""

from __future__ import annotations

import numpy as np

from htcl.datasets.mini.furnishing import Furnisher
from htcl.datasets.mini.ground import ground_mesh, marking_mesh
from htcl.datasets.mini.layout import StreetLayout
from htcl.datasets.mini.materials import Material
from htcl.datasets.mini.mesh import merge
from htcl.datasets.mini.raw_labels import RawLabel
from htcl.datasets.mini.road import Road
from htcl.datasets.mini.solids import quads
from htcl.datasets.mini.street_scene import StreetScene
from htcl.datasets.mini.styles import StreetStyle, style_of
from htcl.datasets.mini.surface import Surface

__all__ = ["build_scene"]

_BEHIND, _AHEAD = 45.0, 115.0  # metres of street behind the start and beyond the end of the drive
_SEEN_AHEAD = 40.0  # planned objects stand at most so far beyond the end of the drive


def _lane_offset(style: StreetStyle) -> float:
    """Keep right; in a narrow street drive nearer to the middle."""
    return -max(0.9, 0.5 * style.road_half_width)


def _stripes(layout: StreetLayout, rng: np.random.Generator) -> list[tuple]:
    """Lane markings: centre line, edge lines, zebra crossings and stop lines."""
    style, stripes = layout.style, []
    half = style.road_half_width
    dashed = rng.random() < 0.75
    dash, gap = rng.uniform(2.0, 4.0), rng.uniform(2.0, 5.0)
    s = layout.start + 1.0
    while s < layout.end - 8.0:
        step = dash if dashed else 4.0
        if not (layout.near_junction(s, 1, 2.0) or layout.near_junction(s, -1, 2.0)):
            stripes.append((s, s + step, -0.08, 0.08))
        s += step + (gap if dashed else 0.0)
    if rng.random() < 0.6:
        for d in (-half + 0.25, half - 0.25):
            for s in np.arange(layout.start + 1.0, layout.end - 8.0, 4.0):
                side = 1 if d > 0 else -1
                if not layout.near_junction(s + 2.0, side, 2.5):
                    stripes.append((s, s + 4.0, d - 0.06, d + 0.06))
    zebras = [middle - width - 4.5 for middle, width, _ in style.junctions]
    zebras.append(rng.uniform(15.0, layout.seen_end))
    for s in zebras:
        if not (layout.near_junction(s, 1, 3.0) or layout.near_junction(s, -1, 3.0)):
            stripes += [
                (s, s + 2.6, d, d + 0.45) for d in np.arange(-half + 0.35, half - 0.5, 0.95)
            ]
    for middle, width, _ in style.junctions:
        stripes.append((middle - width - 1.4, middle - width - 1.0, -half + 0.3, -0.3))
    return stripes


def build_scene(seed: int, sequence: int, drive_length: float) -> StreetScene:
    """Make the street of a sequence.

    Args:
        seed: Seed of the data set.
        sequence: Sequence number; chooses the kind of street and, with the seed, all its details.
        drive_length: Length of the driven way in metres.
    """
    style = style_of(sequence)
    rng = np.random.default_rng([seed, sequence, 1])
    start, end = -_BEHIND, drive_length + _AHEAD
    zones = [sum(widths) for widths in zip(style.parking, style.verge, style.sidewalk, strict=True)]
    road = Road(
        rng, start, end, list(style.bends), style.hollow, style.road_half_width + max(zones) + 1.0
    )
    layout = StreetLayout(style, start, end, drive_length + _SEEN_AHEAD, rng)
    plan = layout.ground_plan(road, seed=int(rng.integers(1 << 20)))
    lane = _lane_offset(style)
    furnisher = Furnisher(road, layout, plan, rng, lane)
    parts = [ground_mesh(road, plan)]
    parts.append(marking_mesh(road, _stripes(layout, rng), rng.uniform(0.75, 0.9)))
    parts += furnisher.furnish()
    # Beyond the street: a plain that the trees of the horizon stand on.
    grass = Surface(RawLabel.TERRAIN, Material.GRASS, (0.33, 0.40, 0.18), seed=1)
    low = min(float(part.corners[..., 2].min()) for part in parts[:1]) - 0.3
    far = 600.0
    parts.append(
        quads(
            np.array([[(-far, -far, low), (far, -far, low), (far, far, low), (-far, far, low)]]),
            grass,
        )
    )
    azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.0)
    sun = np.array(
        [np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)]
    )
    return StreetScene(merge(parts), road, style, lane, sun)
