"""Triangle soup with labels and texture parameters.

Shape letter in this file: F triangle.
Assets are built in a local frame: x front, y left, z up, metres.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numba
import numpy as np
from numpy.typing import ArrayLike

from mini_kitti.assets.surface import Surface

__all__ = ["Mesh", "merge"]


@dataclass
class Mesh:
    """Triangles without shared corners; each carries everything that rendering needs.

    Attributes:
        corners: (F, 3, 3) positions in metres.
        normals: (F, 3, 3) shading normal of each corner.
        uv: (F, 3, 2) texture coordinates in metres along the surface.
        color: (F, 3) sRGB in [0, 1].
        params: (F, 4) texture parameters.
        label: (F,) raw ids.
        material: (F,) Material.
        seed: (F,) texture seed.
    """

    corners: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    color: np.ndarray
    params: np.ndarray
    label: np.ndarray
    material: np.ndarray
    seed: np.ndarray

    @classmethod
    def from_triangles(
        cls,
        corners: ArrayLike,
        surface: Surface,
        uv: ArrayLike | None = None,
        normals: ArrayLike | None = None,
    ) -> Mesh:
        """Make a mesh of one surface.

        Args:
            corners: (F, 3, 3) positions.
            surface: Look and label of all triangles.
            uv: (F, 3, 2); default: the two axes that the flat normal points along least.
            normals: (F, 3, 3); default: flat.
        """
        corners = np.ascontiguousarray(corners, dtype=np.float64)
        count = len(corners)
        flat, box_uv = np.empty((count, 3, 3)), np.empty((count, 3, 2))
        _flat_look(corners, flat, box_uv)
        normals = flat if normals is None else normals
        uv = box_uv if uv is None else uv
        return cls(
            corners=corners,
            normals=np.array(normals, dtype=np.float64),
            uv=np.array(uv, dtype=np.float64),
            color=np.full((count, 3), surface.color, dtype=np.float64),
            params=np.full((count, 4), surface.params, dtype=np.float64),
            label=np.full(count, int(surface.label), dtype=np.uint32),
            material=np.full(count, int(surface.material), dtype=np.int64),
            seed=np.full(count, surface.seed, dtype=np.int64),
        )

    def __len__(self) -> int:
        """Return the number of triangles."""
        return len(self.corners)

    def packed(self) -> np.ndarray:
        """Return all that the look of a triangle needs side by side, (F, 24) float32.

        Nine numbers of normals, six of uv, three of color, four of params, material and seed: what
        is read together lies together.
        """
        parts = [self.normals, self.uv, self.color, self.params, self.material, self.seed]
        return np.concatenate(
            [part.reshape(len(self), -1) for part in parts], axis=1, dtype=np.float32
        )

    def placed(self, position: ArrayLike, yaw: float = 0.0, scale: float = 1.0) -> Mesh:
        """Return the mesh scaled, turned around z and moved to ``position`` (metres)."""
        cos, sin = np.cos(yaw), np.sin(yaw)
        rotation = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        shape = self.corners.shape
        # As lists of points: one product of matrices, not one for each triangle.
        corners = (self.corners.reshape(-1, 3) @ rotation.T * scale).reshape(shape)
        return replace(
            self,
            corners=corners + np.asarray(position, dtype=np.float64),
            normals=(self.normals.reshape(-1, 3) @ rotation.T).reshape(shape),
        )


@numba.njit(cache=True)
def _flat_look(corners: np.ndarray, normals: np.ndarray, uv: np.ndarray) -> None:
    """Write flat normals, and as uv the two axes that they point along least; all (F, 3, ...)."""
    normal = np.empty(3)
    for f in range(len(corners)):
        size = 0.0
        for k in range(3):
            a, b = (k + 1) % 3, (k + 2) % 3
            first, second = corners[f, 1] - corners[f, 0], corners[f, 2] - corners[f, 0]
            normal[k] = first[a] * second[b] - first[b] * second[a]
            size += normal[k] ** 2
        steepest = np.abs(normal / max(np.sqrt(size), 1e-12)).argmax()
        u, v = 1 if steepest == 0 else 0, 1 if steepest == 2 else 2
        for corner in range(3):
            for k in range(3):
                normals[f, corner, k] = normal[k] / max(np.sqrt(size), 1e-12)
            uv[f, corner, 0], uv[f, corner, 1] = corners[f, corner, u], corners[f, corner, v]


def merge(meshes: list[Mesh]) -> Mesh:
    """Concatenate meshes, in order."""
    return Mesh(
        **{
            item.name: np.concatenate([getattr(m, item.name) for m in meshes])
            for item in fields(Mesh)
        }
    )
