"""Triangle soup with labels and texture parameters.

Shape letter in this file: F triangle.
Assets are built in a local frame: x front, y left, z up, metres.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

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
        corners = np.asarray(corners, dtype=np.float64)
        flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
        if normals is None:
            normals = np.repeat(flat[:, None], 3, axis=1)
        if uv is None:
            uv = _box_uv(corners, flat)
        count = len(corners)
        return cls(
            corners=corners,
            normals=np.array(normals, dtype=np.float64),
            uv=np.array(uv, dtype=np.float64),
            color=np.tile(np.array(surface.color, dtype=np.float64), (count, 1)),
            params=np.tile(np.array(surface.params, dtype=np.float64), (count, 1)),
            label=np.full(count, int(surface.label), dtype=np.uint32),
            material=np.full(count, int(surface.material), dtype=np.int64),
            seed=np.full(count, surface.seed, dtype=np.int64),
        )

    def __len__(self) -> int:
        """Return the number of triangles."""
        return len(self.corners)

    def placed(self, position: ArrayLike, yaw: float = 0.0, scale: float = 1.0) -> Mesh:
        """Return the mesh scaled, turned around z and moved to ``position`` (metres)."""
        cos, sin = np.cos(yaw), np.sin(yaw)
        rotation = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        return replace(
            self,
            corners=self.corners @ rotation.T * scale + np.asarray(position, dtype=np.float64),
            normals=self.normals @ rotation.T,
        )


def _box_uv(corners: np.ndarray, flat: np.ndarray) -> np.ndarray:
    axis = np.abs(flat).argmax(axis=1)
    choice = np.array([[1, 2], [0, 2], [0, 1]])[axis]
    return np.take_along_axis(corners, choice[:, None, :].repeat(3, axis=1), axis=2)


def merge(meshes: list[Mesh]) -> Mesh:
    """Concatenate meshes, in order."""
    return Mesh(
        **{
            item.name: np.concatenate([getattr(m, item.name) for m in meshes])
            for item in fields(Mesh)
        }
    )
