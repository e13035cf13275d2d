from __future__ import annotations

import numpy as np
import pytest

from htcl.visualization.voxel_faces import FACE_AXES, FACE_SIGNS, VoxelFaces, extract_faces


def grid(*cells, shape=(4, 4, 4), label=3):
    labels = np.zeros(shape, dtype=np.uint8)
    for cell in cells:
        labels[cell] = label
    return labels


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([], 0),
        ([(1, 1, 1)], 6),
        ([(1, 1, 1), (2, 1, 1)], 10),  # 12 less the two that touch
        ([(0, 0, 0)], 6),  # the outside of the grid is empty
        ([(1, 1, 1), (2, 2, 1)], 12),  # touching edges hide nothing
        ([(x, y, z) for x in (1, 2) for y in (1, 2) for z in (1, 2)], 24),
    ],
)
def test_number_of_faces(cells, expected):
    assert len(extract_faces(grid(*cells)).cells) == expected


def test_full_grid_shows_its_outside_only():
    assert len(extract_faces(np.full((4, 5, 6), 9, np.uint8)).cells) == 2 * (20 + 24 + 30)


def test_not_scored_voxels_are_empty():
    labels = grid((1, 1, 1))
    labels[2, 1, 1] = 255
    faces = extract_faces(labels)
    assert len(faces.cells) == 6
    assert set(faces.labels) == {3}


def test_another_empty_class():
    labels = np.full((4, 4, 4), 7, dtype=np.uint8)
    labels[1, 1, 1] = 0
    faces = extract_faces(labels, empty_class=7)
    assert len(faces.cells) == 6 and set(faces.labels) == {0}


def test_vertices_lie_on_the_side_of_the_normal():
    faces = extract_faces(grid((1, 2, 3)))
    vertices = faces.vertices()
    centre = np.array([1.5, 2.5, 3.5])
    for corners, direction in zip(vertices, faces.directions, strict=True):
        middle = corners.mean(axis=0) - centre
        expected = np.zeros(3)
        expected[FACE_AXES[direction]] = 0.5 * FACE_SIGNS[direction]
        np.testing.assert_allclose(middle, expected)
        # Four corners of a unit square: the diagonals are as long as sqrt(2).
        np.testing.assert_allclose(np.linalg.norm(corners[0] - corners[2]), 2**0.5)
        np.testing.assert_allclose(np.linalg.norm(corners[1] - corners[3]), 2**0.5)


def test_triangles_cover_each_face():
    triangles = VoxelFaces.triangles(2)
    assert triangles.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]


def test_openness_counts_the_neighbours_of_a_corner():
    # A floor cell with a wall at its +x side: on its top face, the two corners at high x are
    # darkened by the wall's cell (side) and by nothing else.
    faces = extract_faces(grid((1, 1, 0), (2, 1, 1)))
    top = (faces.directions == 5) & (faces.cells == [1, 1, 0]).all(axis=1)
    # Corners in the order (low x, low y), (high x, low y), (high x, high y), (low x, high y).
    np.testing.assert_allclose(faces.openness[top][0], [1, 2 / 3, 2 / 3, 1])


def test_openness_of_a_corner_between_two_walls_is_zero():
    faces = extract_faces(grid((1, 1, 0), (2, 1, 1), (1, 2, 1)))
    top = (faces.directions == 5) & (faces.cells == [1, 1, 0]).all(axis=1)
    np.testing.assert_allclose(faces.openness[top][0], [1, 2 / 3, 0, 2 / 3])


def test_wrong_number_of_axes():
    with pytest.raises(ValueError, match=r"three axes.*\(4, 4\)"):
        extract_faces(np.zeros((4, 4), np.uint8))
