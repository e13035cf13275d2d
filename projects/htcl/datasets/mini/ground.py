"""Ground surface: road, kerbs, sidewalks, lots and lane markings.

Shape letters in this file: S, D cells along and across the street.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from htcl.datasets.mini.materials import Material
from htcl.datasets.mini.mesh import Mesh, merge
from htcl.datasets.mini.raw_labels import RawLabel
from htcl.datasets.mini.road import Road
from htcl.datasets.mini.solids import quads
from htcl.datasets.mini.surface import Surface

__all__ = ["GroundPlan", "ground_mesh", "marking_mesh"]

KERB_HEIGHT = 0.13

# (label, material, colour, height above the road)
_KINDS = {
    "road": (RawLabel.ROAD, Material.ASPHALT, (0.38, 0.38, 0.39), 0.0),
    "parking": (RawLabel.PARKING, Material.COBBLE, (0.47, 0.38, 0.34), 0.0),
    "sidewalk": (RawLabel.SIDEWALK, Material.PAVING, (0.62, 0.60, 0.56), KERB_HEIGHT),
    "gravel": (RawLabel.OTHER_GROUND, Material.GRAVEL, (0.66, 0.58, 0.42), 0.04),
    "grass": (RawLabel.TERRAIN, Material.GRASS, (0.33, 0.39, 0.18), 0.08),
}
KINDS = tuple(_KINDS)


@dataclass
class GroundPlan:
    """What each cell of the street is.

    Attributes:
        s_edges: (S+1,) borders of the cells along the street, increasing.
        d_edges: (D+1,) borders across the street, increasing.
        kind: (S, D) indices into KINDS.
        tint: Brightness of each kind in this sequence, by name.
        seed: Texture seed.
    """

    s_edges: np.ndarray
    d_edges: np.ndarray
    kind: np.ndarray
    tint: dict[str, tuple[float, float, float]]
    seed: int

    def surface(self, name: str) -> Surface:
        """Return the surface of a kind of ground."""
        label, material, color, _ = _KINDS[name]
        tinted = tuple(np.clip(np.array(color) * np.array(self.tint[name]), 0, 1))
        return Surface(label, material, tinted, seed=self.seed)

    def height(self, s: float, d: float) -> float:
        """Return the height of the ground above the road surface at a place (kerbs)."""
        i = int(np.clip(np.searchsorted(self.s_edges, s) - 1, 0, len(self.s_edges) - 2))
        j = int(np.clip(np.searchsorted(self.d_edges, d) - 1, 0, len(self.d_edges) - 2))
        return _KINDS[KINDS[self.kind[i, j]]][3]


def _kerbs(road: Road, plan: GroundPlan, heights: np.ndarray) -> Mesh:
    """Vertical faces between cells of different height; they carry the label of the higher cell."""
    stone = Surface(RawLabel.SIDEWALK, Material.CONCRETE, (0.66, 0.65, 0.62))
    parts = []
    for axis in (0, 1):
        low_cell = heights[:-1] if axis == 0 else heights[:, :-1]
        high_cell = heights[1:] if axis == 0 else heights[:, 1:]
        kind_a = plan.kind[:-1] if axis == 0 else plan.kind[:, :-1]
        kind_b = plan.kind[1:] if axis == 0 else plan.kind[:, 1:]
        i, j = np.nonzero(low_cell != high_cell)
        if not len(i):
            continue
        if axis == 0:
            ends = (
                (plan.s_edges[i + 1], plan.d_edges[j]),
                (plan.s_edges[i + 1], plan.d_edges[j + 1]),
            )
        else:
            ends = (
                (plan.s_edges[i], plan.d_edges[j + 1]),
                (plan.s_edges[i + 1], plan.d_edges[j + 1]),
            )
        a, b = low_cell[i, j], high_cell[i, j]
        bottom, top = np.minimum(a, b), np.maximum(a, b)
        upper = np.where(a > b, kind_a[i, j], kind_b[i, j])
        face = [road.world(*ends[0], bottom), road.world(*ends[1], bottom)]
        face += [road.world(*ends[1], top), road.world(*ends[0], top)]
        mesh = quads(np.stack(face, axis=1), stone)
        labels = np.array([_KINDS[name][0] for name in KINDS], dtype=np.uint32)
        mesh.label = np.repeat(labels[upper], 2)
        parts.append(mesh)
    return merge(parts)


def ground_mesh(road: Road, plan: GroundPlan) -> Mesh:
    """Make the whole ground; texture coordinates are (s, d)."""
    heights = np.array([_KINDS[name][3] for name in KINDS])[plan.kind]
    parts = []
    for index, name in enumerate(KINDS):
        i, j = np.nonzero(plan.kind == index)
        if not len(i):
            continue
        s = np.stack([plan.s_edges[i], plan.s_edges[i + 1]], axis=1)[:, [0, 1, 1, 0]]
        d = np.stack([plan.d_edges[j], plan.d_edges[j + 1]], axis=1)[:, [0, 0, 1, 1]]
        corners = road.world(s, d, _KINDS[name][3])
        parts.append(quads(corners, plan.surface(name), np.stack([s, d], axis=-1)))
    parts.append(_kerbs(road, plan, heights))
    return merge(parts)


def marking_mesh(road: Road, stripes: list[tuple[float, float, float, float]], tone: float) -> Mesh:
    """Make painted stripes.

    Args:
        road: The street.
        stripes: (s from, s to, d from, d to) of each stripe.
        tone: Brightness of the paint.
    """
    surface = Surface(RawLabel.LANE_MARKING, Material.MARKING, (tone, tone, tone * 0.97))
    parts = []
    for s0, s1, d0, d1 in stripes:
        # Short pieces follow bends and hills; a centimetre keeps the paint visible above the
        # asphalt.
        s = np.linspace(s0, s1, max(2, int(np.ceil((s1 - s0) / 1.0)) + 1))
        d = np.linspace(d0, d1, max(2, int(np.ceil((d1 - d0) / 1.0)) + 1))
        grid_s, grid_d = np.meshgrid(s, d, indexing="ij")
        points = road.world(grid_s, grid_d, 0.012)
        flat = np.stack([grid_s, grid_d], axis=-1)

        def corners(grid: np.ndarray) -> np.ndarray:
            cell = [grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]]
            return np.stack(cell, axis=2).reshape(-1, 4, grid.shape[-1])

        parts.append(quads(corners(points), surface, corners(flat)))
    return merge(parts)
