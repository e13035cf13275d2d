"""Ground surface: road, kerbs, sidewalks and lots.

Shape letters in this file: S, D cells along and across the street.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mini_kitti.assets.materials import Material
from mini_kitti.assets.mesh import Mesh, merge
from mini_kitti.assets.raw_labels import RawLabel
from mini_kitti.assets.solids import quads
from mini_kitti.assets.surface import Color, Surface, as_color
from mini_kitti.street.road import Road

__all__ = ["KINDS", "GroundPlan", "ground_mesh"]

# (label, material, colour, height above the road)
_KINDS: dict[str, tuple[RawLabel, Material, Color, float]] = {
    "road": (RawLabel.ROAD, Material.ASPHALT, (0.38, 0.38, 0.39), 0.0),
    "parking": (RawLabel.PARKING, Material.COBBLE, (0.47, 0.38, 0.34), 0.0),
    "sidewalk": (RawLabel.SIDEWALK, Material.PAVING, (0.62, 0.60, 0.56), 0.13),
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
        tint: (3,) brightness of each kind in this sequence, by name.
        seed: Texture seed.
    """

    s_edges: np.ndarray
    d_edges: np.ndarray
    kind: np.ndarray
    tint: dict[str, np.ndarray]
    seed: int

    def surface(self, name: str) -> Surface:
        """Return the surface of a kind of ground."""
        label, material, color, _ = _KINDS[name]
        color = as_color(np.array(color) * self.tint[name])
        return Surface(label, material, color, seed=self.seed)

    def height(self, s: float, d: float) -> float:
        """Return the height of the ground above the road surface at a place (kerbs)."""
        i = int(np.clip(np.searchsorted(self.s_edges, s) - 1, 0, len(self.s_edges) - 2))
        j = int(np.clip(np.searchsorted(self.d_edges, d) - 1, 0, len(self.d_edges) - 2))
        return _KINDS[KINDS[self.kind[i, j]]][3]


def _kerbs(road: Road, plan: GroundPlan, heights: np.ndarray) -> Mesh:
    """Vertical faces between cells of different height; they carry the label of the higher cell."""
    stone = Surface(RawLabel.SIDEWALK, Material.CONCRETE, (0.66, 0.65, 0.62))
    labels = np.array([label for label, *_ in _KINDS.values()], dtype=np.uint32)
    s, d, kind = plan.s_edges, plan.d_edges, plan.kind
    parts = []
    for along in (True, False):
        before = np.s_[:-1] if along else np.s_[:, :-1]
        after = np.s_[1:] if along else np.s_[:, 1:]
        i, j = np.nonzero(heights[before] != heights[after])
        if not len(i):
            continue
        first = (s[i + 1], d[j]) if along else (s[i], d[j + 1])
        second = (s[i + 1], d[j + 1])
        a, b = heights[before][i, j], heights[after][i, j]
        bottom, top = np.minimum(a, b), np.maximum(a, b)
        face = [road.world(*first, bottom), road.world(*second, bottom)]
        face += [road.world(*second, top), road.world(*first, top)]
        mesh = quads(np.stack(face, axis=1), stone)
        mesh.label = np.repeat(labels[np.where(a > b, kind[before][i, j], kind[after][i, j])], 2)
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
