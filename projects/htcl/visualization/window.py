"""An Open3D window with the voxels of a frame, where there is a display."""

from __future__ import annotations

import os
import sys

import numpy as np
import open3d as o3d

from htcl.errors import InvalidValueError
from htcl.visualization.result_file import FrameResult
from htcl.visualization.voxel_faces import VoxelFaces, extract_faces


def require_display() -> None:
    """Checks that a window can be opened.

    Raises:
        InvalidValueError: On a Linux machine without X11 or Wayland display.
    """
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise InvalidValueError(
            "a window needs a display, and this machine has none (neither DISPLAY nor "
            "WAYLAND_DISPLAY is set); use --html and open the page on your own machine"
        )


def voxel_mesh(result: FrameResult, labels: np.ndarray) -> o3d.geometry.TriangleMesh:
    """Returns the visible faces of the result's prediction or ground truth, vertices in metres."""
    faces = extract_faces(labels, result.empty_class, result.ignore_index)
    points = result.voxel_origin + faces.vertices().reshape(-1, 3) * result.voxel_size
    mesh = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(points),
        o3d.utility.Vector3iVector(VoxelFaces.triangles(len(faces.cells)).astype(np.int32)),
    )
    colours = np.repeat(result.palette[faces.labels] / 255.0, 4, axis=0)
    mesh.vertex_colors = o3d.utility.Vector3dVector(colours)
    mesh.compute_vertex_normals()
    return mesh


def show_window(result: FrameResult) -> None:
    """Shows the prediction and, to its right, the ground truth, until the window is closed.

    Raises:
        InvalidValueError: If there is no display.
    """
    require_display()
    shapes = [voxel_mesh(result, result.prediction)]
    if result.ground_truth is not None:
        beside = voxel_mesh(result, result.ground_truth)
        width = result.prediction.shape[1] * result.voxel_size[1]
        shapes.append(beside.translate((0.0, -1.1 * width, 0.0)))
    shapes.append(o3d.geometry.TriangleMesh.create_coordinate_frame(size=2.0))
    sides = " (left) and ground truth (right)" if len(shapes) > 2 else ""
    title = f"{result.name}: prediction{sides}"
    o3d.visualization.draw_geometries(shapes, window_name=title, mesh_show_back_face=True)
