"""Visible faces (F) of a labelled voxel grid (X front, Y left, Z up)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# A face is the side of an occupied cell towards an empty one. Directions are numbered 0..5: -x, +x,
# -y, +y, -z, +z.
FACE_AXES = np.array([0, 0, 1, 1, 2, 2])
FACE_SIGNS = np.array([-1, 1, -1, 1, -1, 1])
# The two axes that span a face, by the axis of its normal.
TANGENT_AXES = np.array([[1, 2], [0, 2], [0, 1]])
# Corners of a face in units of its two spanning axes, in the order of the vertices.
CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])


class VoxelFaces(NamedTuple):
    """Faces between occupied and empty cells.

    Attributes:
        cells: Index of the occupied cell, int32 (F, 3).
        directions: Number of the outward normal, 0..5 as in ``FACE_AXES``/``FACE_SIGNS``, int8
            (F,).
        labels: Label of the cell, uint8 (F,).
        openness: How open the surroundings of each corner are, 1 (free) to 0 (in a corner of three
            occupied cells), float32 (F, 4), corners ordered as ``CORNERS``.
    """

    cells: np.ndarray
    directions: np.ndarray
    labels: np.ndarray
    openness: np.ndarray

    def vertices(self) -> np.ndarray:
        """Returns the corners of all faces in units of cells, float32 (F, 4, 3)."""
        axes = FACE_AXES[self.directions]
        corners = np.repeat(self.cells[:, None].astype(np.float32), 4, axis=1)
        rows = np.arange(len(self.cells))
        corners[rows, :, axes] += (FACE_SIGNS[self.directions] > 0)[:, None]
        for k in range(2):
            corners[rows, :, TANGENT_AXES[axes, k]] += CORNERS[None, :, k]
        return corners

    @staticmethod
    def triangles(num_faces: int) -> np.ndarray:
        """Returns two triangles a face as indices into the flattened vertices, uint32 (2F, 3)."""
        quad = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.uint32)
        first = 4 * np.arange(num_faces, dtype=np.uint32)
        return (quad[None] + first[:, None, None]).reshape(-1, 3)


def extract_faces(labels: np.ndarray, empty_class: int = 0, ignore_index: int = 255) -> VoxelFaces:
    """Finds the faces between occupied and empty cells of labels, uint8 (X, Y, Z).

    The outside of the grid and ``ignore_index`` count as empty.

    Raises:
        ValueError: If the grid is not three-dimensional.
    """
    if labels.ndim != 3:
        raise ValueError(f"a voxel grid has three axes (X, Y, Z), got shape {labels.shape}")
    occupied = np.pad((labels != empty_class) & (labels != ignore_index), 1)
    inner = occupied[1:-1, 1:-1, 1:-1]
    cells, directions, openness = [], [], []
    for direction, (axis, sign) in enumerate(zip(FACE_AXES, FACE_SIGNS, strict=True)):
        window = [slice(1, -1)] * 3
        window[axis] = slice(1 + sign, occupied.shape[axis] - 1 + sign)
        found = np.stack(np.nonzero(inner & ~occupied[tuple(window)]), axis=1).astype(np.int32)
        cells.append(found)
        directions.append(np.full(len(found), direction, dtype=np.int8))
        openness.append(_corner_openness(occupied, found, axis, sign))
    all_cells = np.concatenate(cells)
    return VoxelFaces(
        cells=all_cells,
        directions=np.concatenate(directions),
        labels=labels[tuple(all_cells.T)].astype(np.uint8),
        openness=np.concatenate(openness),
    )


def _corner_openness(occupied: np.ndarray, cells: np.ndarray, axis: int, sign: int) -> np.ndarray:
    """Counts the occupied neighbours of each corner in the layer before the face."""
    front = cells + 1  # the grid is padded by one cell
    front[:, axis] += sign
    tangents = np.eye(3, dtype=np.int32)[TANGENT_AXES[axis]]

    def neighbour(a: int, b: int) -> np.ndarray:
        return occupied[tuple((front + a * tangents[0] + b * tangents[1]).T)]

    openness = np.empty((len(cells), 4), dtype=np.float32)
    for corner, (a, b) in enumerate(2 * CORNERS - 1):
        side_a, side_b = neighbour(a, 0), neighbour(0, b)
        # Two occupied sides close the corner whatever stands behind it.
        blocked = np.where(side_a & side_b, 3, 0 + side_a + side_b + neighbour(a, b))
        openness[:, corner] = 1 - blocked / 3
    return openness
