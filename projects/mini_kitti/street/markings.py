"""Painted lines of a street."""

from __future__ import annotations

import numpy as np

from mini_kitti.assets.materials import Material
from mini_kitti.assets.mesh import Mesh, merge
from mini_kitti.assets.raw_labels import RawLabel
from mini_kitti.assets.solids import sheet
from mini_kitti.assets.surface import Surface
from mini_kitti.street.layout import StreetLayout
from mini_kitti.street.road import Road

__all__ = ["marking_mesh"]

_Stripe = tuple[float, float, float, float]  # s from, s to, d from, d to


def marking_mesh(road: Road, layout: StreetLayout, rng: np.random.Generator) -> Mesh:
    """Paint centre line, edge lines, zebra crossings and stop lines."""
    stripes = _stripes(layout, rng)
    tone = rng.uniform(0.75, 0.9)
    surface = Surface(RawLabel.LANE_MARKING, Material.MARKING, (tone, tone, tone * 0.97))
    parts = []
    for s0, s1, d0, d1 in stripes:
        # Short pieces follow bends and hills; a centimetre keeps the paint visible above the
        # asphalt.
        s = np.linspace(s0, s1, max(2, int(np.ceil(s1 - s0)) + 1))
        d = np.linspace(d0, d1, max(2, int(np.ceil(d1 - d0)) + 1))
        grid = np.meshgrid(s, d, indexing="ij")
        parts.append(sheet(road.world(*grid, 0.012), surface, np.stack(grid, axis=-1)))
    return merge(parts)


def _stripes(layout: StreetLayout, rng: np.random.Generator) -> list[_Stripe]:
    """Draw centre line, edge lines, zebra crossings and stop lines."""
    style, half = layout.style, layout.style.road_half_width
    stripes: list[_Stripe] = []
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
