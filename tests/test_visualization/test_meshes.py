from __future__ import annotations

import numpy as np
import open3d as o3d
import pytest
from street_scene import GRID, ORIGIN, SIZE, street

from htcl.errors import InvalidValueError
from htcl.geometry import VoxelGrid
from htcl.visualization.meshes import class_mesh, class_meshes, write_meshes
from htcl.visualization.window import require_display, voxel_mesh

CUBE = VoxelGrid(tuple(ORIGIN), SIZE, (8, 8, 8))


def test_vertices_are_metres():
    mask = np.zeros((8, 8, 8), dtype=bool)
    mask[2:6, 3:5, 1] = True
    vertices = np.asarray(class_mesh(mask, CUBE, smooth=False).vertices)
    lower, upper = ORIGIN + np.array([2, 3, 1]) * SIZE, ORIGIN + np.array([6, 5, 2]) * SIZE
    # Marching cubes at one half lies half-way between the centres of full and empty cells.
    np.testing.assert_allclose(vertices.min(axis=0), lower, atol=1e-9)
    np.testing.assert_allclose(vertices.max(axis=0), upper, atol=1e-9)


def test_smoothing_keeps_a_pole():
    mask = np.zeros((8, 8, 8), dtype=bool)
    mask[4, 4, :] = True
    mesh = class_mesh(mask, CUBE)
    extent = mesh.get_axis_aligned_bounding_box().get_extent()
    assert extent[2] > 0.85 * 8 * SIZE
    assert extent[0] > 0.4 * SIZE


def test_flat_surfaces_take_few_triangles():
    """A slab of 40 x 40 voxels and its smoothed, unsimplified self are the same surface."""
    grid = VoxelGrid((0.0, 0.0, 0.0), 0.2, (44, 44, 8))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[2:42, 2:42, 2:4] = True
    whole = class_mesh(mask, grid, smooth=False).filter_smooth_taubin(5)
    few = class_mesh(mask, grid)
    assert len(few.triangles) < 0.2 * len(whole.triangles)
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(o3d.t.geometry.TriangleMesh.from_legacy(few))
    points = o3d.core.Tensor(np.asarray(whole.vertices, dtype=np.float32))
    assert float(scene.compute_distance(points).numpy().max()) < 0.05


def test_a_mesh_for_every_class_in_its_colour(make_result):
    labels = street()
    labels[0, 0, 7] = 255
    result = make_result()
    meshes = class_meshes(result, labels)
    assert sorted(meshes) == [1, 9, 13, 15]
    np.testing.assert_allclose(np.asarray(meshes[9].vertex_colors)[0], result.palette[9] / 255)


def test_files(make_result, tmp_path):
    files = write_meshes(make_result(), tmp_path)
    assert [f.name for f in files] == ["000005_prediction.ply", "000005_truth.ply"]
    mesh = o3d.io.read_triangle_mesh(str(files[0]))
    assert len(mesh.triangles) > 50 and mesh.has_vertex_colors()
    # The road's colour is magenta.
    assert (np.asarray(mesh.vertex_colors) == [1.0, 0.0, 1.0]).all(axis=1).any()
    # 16 bytes a vertex, 13 a triangle, and a few lines of text.
    size = 16 * len(mesh.vertices) + 13 * len(mesh.triangles)
    assert size < files[0].stat().st_size < size + 600
    classes = write_meshes(make_result(ground_truth=None), tmp_path / "classes", per_class=True)
    assert {f.name for f in classes} >= {"000005_prediction_car.ply", "000005_prediction_road.ply"}


def test_nothing_to_write(make_result, tmp_path):
    empty = np.zeros((16, 16, 8), np.uint8)
    with pytest.raises(InvalidValueError, match="08/000005 has no occupied voxel"):
        write_meshes(make_result(prediction=empty, ground_truth=None), tmp_path)


def test_voxel_mesh_spans_the_voxels(make_result):
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1, 2, 3] = 9
    mesh = voxel_mesh(make_result(), labels)
    assert len(mesh.triangles) == 12
    box = mesh.get_axis_aligned_bounding_box()
    np.testing.assert_allclose(box.min_bound, ORIGIN + np.array([1, 2, 3]) * SIZE, atol=1e-6)
    np.testing.assert_allclose(box.get_extent(), SIZE, atol=1e-6)


def test_window_without_display(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InvalidValueError, match=r"needs a display.*--html"):
        require_display()
