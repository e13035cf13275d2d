"""Smooth surfaces of the classes as triangle meshes in metres, by marching cubes.

Frames: voxel frame x front, y left, z up, metres. Shape letters: X Y Z voxel.
"""

from __future__ import annotations

from pathlib import Path

import mcubes
import numpy as np
import open3d as o3d
import trimesh
from trimesh.exchange.ply import export_ply

from htcl.errors import InvalidValueError
from htcl.files import atomic_write, plain_name
from htcl.geometry import VoxelGrid
from htcl.visualization.result_file import FrameResult

# Taubin's smoothing (Taubin, "A Signal Processing Approach to Fair Surface Design", SIGGRAPH 1995)
# takes the stairs of the voxels away without shrinking; blurring the grid instead would swallow
# poles, which are one voxel thick.
SMOOTHING_STEPS = 5
# Triangles are joined (Garland and Heckbert, "Surface Simplification Using Quadric Error Metrics",
# SIGGRAPH 1997) where that moves the surface by about a centimetre at most: a fifth is left, most
# of it of things that are not flat. The error is a square, in square metres.
SIMPLIFICATION_ERROR = 1e-4
# Bounds nothing else: no class keeps less than this share of its triangles.
_FEWEST = 1 / 50


def class_mesh(mask: np.ndarray, grid: VoxelGrid, smooth: bool = True) -> o3d.geometry.TriangleMesh:
    """Returns the surface around the marked voxels, bool (X, Y, Z); vertices in metres.

    Not ``smooth``, it has all stairs and all triangles.
    """
    cells = np.argwhere(mask)
    if not len(cells):
        return o3d.geometry.TriangleMesh()
    lower, upper = cells.min(axis=0), cells.max(axis=0) + 1
    part = mask[tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))]
    # One empty cell around closes the surface; array index i is then the centre of cell i - 1 +
    # lower.
    vertices, triangles = mcubes.marching_cubes(np.pad(part, 1).astype(np.float32), 0.5)
    points = np.array(grid.origin) + (vertices - 0.5 + lower) * np.array(grid.voxel_size)
    mesh = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(points), o3d.utility.Vector3iVector(triangles.astype(np.int32))
    )
    if not smooth:
        return mesh
    mesh = mesh.filter_smooth_taubin(SMOOTHING_STEPS)
    fewest = max(int(_FEWEST * len(mesh.triangles)), 4)
    return mesh.simplify_quadric_decimation(fewest, maximum_error=SIMPLIFICATION_ERROR)


def class_meshes(result: FrameResult, labels: np.ndarray) -> dict[int, o3d.geometry.TriangleMesh]:
    """Returns the coloured surface of every class that occurs, by label.

    ``labels`` are the result's prediction or its ground truth.
    """
    meshes = {}
    present = np.unique(labels)
    for label in result.drawn_classes:
        if label in present:
            mesh = class_mesh(labels == label, result.grid)
            mesh.paint_uniform_color(result.palette[label] / 255.0)
            meshes[label] = mesh
    return meshes


def _encoded(mesh: o3d.geometry.TriangleMesh) -> bytes:
    """Binary PLY in float32: half of Open3D's own doubles and normals, which viewers compute."""
    colours = np.round(255 * np.asarray(mesh.vertex_colors)).astype(np.uint8)
    made = trimesh.Trimesh(
        np.asarray(mesh.vertices), np.asarray(mesh.triangles), vertex_colors=colours, process=False
    )
    return export_ply(made, vertex_normal=False)


def write_meshes(result: FrameResult, folder: str | Path, per_class: bool = False) -> list[Path]:
    """Writes the prediction, and the ground truth if there is one; returns the files.

    They are ``FRAME_prediction.ply`` and ``FRAME_truth.ply`` in the folder; with ``per_class``, a
    file a class with ``_CLASS`` appended.

    Raises:
        InvalidValueError: If there is nothing to write.
    """
    folder = Path(folder)
    written = []
    for kind, labels in (("prediction", result.prediction), ("truth", result.ground_truth)):
        if labels is None:
            continue
        meshes = class_meshes(result, labels)
        if per_class:
            parts = {
                f"{kind}_{plain_name(result.class_names[label], 'class')}": mesh
                for label, mesh in meshes.items()
            }
        else:
            whole = o3d.geometry.TriangleMesh()
            for mesh in meshes.values():
                whole += mesh
            parts = {kind: whole} if meshes else {}
        for name, mesh in parts.items():
            path = folder / f"{result.frame}_{name}.ply"
            with atomic_write(path) as file:
                file.write(_encoded(mesh))
            written.append(path)
    if not written:
        raise InvalidValueError(
            f"frame {result.name} has no occupied voxel, so there is no surface to write"
        )
    return written
