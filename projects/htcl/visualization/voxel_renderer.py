"""Headless pictures of labelled voxel grids by Open3D's ray casting (Embree): no display, no GPU.

Frames: voxel frame x front, y left, z up, metres. Shape letters: X Y Z voxel, H W image, F face, N
hit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import open3d as o3d
from PIL import Image
from scipy import ndimage

from htcl.geometry import VoxelGrid
from htcl.visualization.views import Size, View, camera_view
from htcl.visualization.voxel_faces import FACE_AXES, TANGENT_AXES, VoxelFaces, extract_faces

BACKGROUND = np.array([243, 245, 248], dtype=np.float32)
FLOOR_SEEN, FLOOR_UNSEEN, FLOOR_LINE = 255.0, 222.0, 200.0
# Grey values of the border of the field of view and of its rims, and half their widths in pixels of
# the finished picture. One of the two differs from any ground.
BORDER, BORDER_RIM, BORDER_WIDTH, RIM_WIDTH = 255.0, 25.0, 0.9, 1.9
CAR_COLOUR = np.array([70, 74, 82], dtype=np.float32)
GLASS_COLOUR = np.array([150, 190, 215], dtype=np.float32)
# Brightness of the six face directions (-x, +x, -y, +y, -z, +z): light from above, a little from
# the left.
FACE_LIGHT = np.array([0.80, 0.70, 0.66, 0.88, 0.50, 1.0], dtype=np.float32)
UPWARD = 5
AMBIENT_OCCLUSION = 0.42
EDGE_DARKNESS = 0.38
# Distance in metres at which the depth cue has faded a colour by one e-th of its full strength.
FADE_LENGTH, FADE_STRENGTH = 60.0, 0.22
# Height of the road below the lidar, KITTI's, in metres.
ROAD = -1.73
# A plain car under the lidar, lower and upper corners of boxes.
CAR_CABIN = ((-2.8, -0.85, -0.75), (0.1, 0.85, -0.2))
CAR_BODY = (
    ((-3.1, -0.9, -1.5), (1.2, 0.9, -0.75)),
    ((-2.3, -0.65, -0.25), (-0.4, 0.65, -0.15)),
    *(((x, y, ROAD), (x + 0.65, y + 0.2, -1.1)) for x in (-2.8, 0.2) for y in (-0.92, 0.72)),
)
# Rays a pixel and axis: pictures are rendered larger and averaged, against jagged edges.
SUPERSAMPLING = 2


class VoxelRenderer:
    """Renders one labelled grid from any number of views.

    Surfaces carry their class colour, darkened by the direction of the face, by ambient occlusion
    in corners and by thin lines along the voxel edges; distant ones fade a little. Voxels outside
    the camera's field of view are darker and greyer, after the figures of MonoScene (Cao and de
    Charette, "MonoScene: Monocular 3D Semantic Scene Completion", section 4). With the stage, a
    white line with dark rims follows the border of the field of view on the ground.

    Args:
        labels: Labels, uint8 (X, Y, Z).
        grid: Where the voxels are.
        palette: RGB colour of every label, uint8 (K, 3).
        in_view: Which voxels the cameras can see, bool (X, Y, Z); all of them if left out.
        empty_class: Label of free space.
        ignore_index: Label that is drawn as empty.

    Raises:
        ValueError: If a label has no colour, or a shape differs from the grid's.
    """

    def __init__(
        self,
        labels: np.ndarray,
        grid: VoxelGrid,
        palette: np.ndarray,
        in_view: np.ndarray | None = None,
        empty_class: int = 0,
        ignore_index: int = 255,
    ) -> None:
        self._faces = extract_faces(labels, empty_class, ignore_index)
        highest, count = int(self._faces.labels.max(initial=0)), len(palette)
        if highest >= count:
            raise ValueError(f"label {highest} has no colour: the palette has {count} entries")
        if in_view is None:
            in_view = np.ones(grid.shape, dtype=bool)
        for name, shape in (("field-of-view mask", in_view.shape), ("labels", labels.shape)):
            if shape != grid.shape:
                raise ValueError(f"the {name} has shape {shape}, the grid {grid.shape}")
        self._origin = np.asarray(grid.origin, dtype=np.float32)
        self._voxel_size = np.asarray(grid.voxel_size, dtype=np.float32)
        # Lit colours (F, 3) before ambient occlusion.
        colours = palette.astype(np.float32)[self._faces.labels]
        unseen = ~in_view[tuple(self._faces.cells.T)]
        grey = colours[unseen].mean(axis=1, keepdims=True)
        colours[unseen] = 0.58 * (0.62 * colours[unseen] + 0.38 * grey)
        self._colours = colours * FACE_LIGHT[self._faces.directions][:, None]
        # The layer of the road: a column near the car is in view only higher up.
        layer = int(np.clip((ROAD - grid.origin[2]) // grid.voxel_size[2], 0, grid.shape[2] - 1))
        self._floor_seen = np.asarray(in_view[:, :, layer])
        self._border = _border_distance(self._floor_seen, self._voxel_size[:2])
        self._voxel_scene = o3d.t.geometry.RaycastingScene()
        if len(self._faces.cells):
            vertices = self._faces.vertices().reshape(-1, 3) * self._voxel_size + self._origin
            triangles = VoxelFaces.triangles(len(self._faces.cells))
            self._voxel_scene.add_triangles(
                o3d.core.Tensor(vertices.astype(np.float32)), o3d.core.Tensor(triangles)
            )
        lower, upper = self._origin, np.array([*grid.upper[:2], grid.origin[2]], dtype=np.float32)
        # Geometry 0 is the floor, a slab of no height; 1 the car's windows; the others its body.
        self._stage_scene = o3d.t.geometry.RaycastingScene()
        self._stage_scene.add_triangles(_box(lower - [0, 0, 0.02], upper))
        self._stage_scene.add_triangles(_box(*CAR_CABIN, top_inset=0.22))
        for corners in CAR_BODY:
            self._stage_scene.add_triangles(_box(*corners))

    def render(self, view: View, stage: bool = True, fade: bool = True) -> np.ndarray:
        """Draws the grid, uint8 (H, W, 3).

        Args:
            view: The rays, one a pixel.
            stage: Draw the floor of the grid with lines every 10 m, the border of the field of view
                on all that faces up, and the car at the origin of the frame.
            fade: Let distant surfaces fade a little (depth cue).
        """
        height, width = view.rays.shape[:2]
        rays = view.rays.reshape(-1, 6)
        picture = np.broadcast_to(BACKGROUND, (len(rays), 3)).copy()
        hits = self._voxel_scene.cast_rays(o3d.core.Tensor(rays))
        depth = hits["t_hit"].numpy()
        hit = np.flatnonzero(np.isfinite(depth))
        if len(hit):
            faces = hits["primitive_ids"].numpy()[hit] // 2
            picture[hit] = self._shade(rays[hit], depth[hit], faces, view, fade)
            if stage:
                above = hit[self._faces.directions[faces] == UPWARD]
                points = rays[above, :3] + depth[above, None] * rays[above, 3:]
                pixel = view.pixel_size(depth[above])
                picture[above] = self._with_border(picture[above], points, pixel)
        if stage:
            self._draw_stage(picture, rays, depth, view)
        return np.clip(picture, 0, 255).round().astype(np.uint8).reshape(height, width, 3)

    def render_smooth(
        self, view: Callable[[Size], View], size: Size, **options: bool
    ) -> np.ndarray:
        """Draws the grid in ``size`` (H, W) without jagged edges, with :meth:`render`'s options.

        ``view`` makes the rays of a picture of given height and width.
        """
        height, width = size
        fine = self.render(view((SUPERSAMPLING * height, SUPERSAMPLING * width)), **options)
        return np.asarray(Image.fromarray(fine).reduce(SUPERSAMPLING))

    def render_cameras(
        self, projections: np.ndarray, voxel_from_camera: np.ndarray, image_size: Size, size: Size
    ) -> list[np.ndarray]:
        """Draws what each camera sees, in ``size`` (H, W) and without stage.

        Args are those of :func:`~htcl.visualization.views.camera_view`, with an axis of cameras.
        """
        return [
            self.render_smooth(partial(camera_view, *camera, image_size), size, stage=False)
            for camera in zip(projections, voxel_from_camera, strict=True)
        ]

    def _shade(
        self, rays: np.ndarray, depth: np.ndarray, faces: np.ndarray, view: View, fade: bool
    ) -> np.ndarray:
        """Returns the colours of the hits, float32 (N, 3)."""
        points = rays[:, :3] + depth[:, None] * rays[:, 3:]
        local = (points - self._origin) / self._voxel_size - self._faces.cells[faces]
        tangents = TANGENT_AXES[FACE_AXES[self._faces.directions[faces]]]
        rows = np.arange(len(faces))
        a = local[rows, tangents[:, 0]].clip(0, 1)
        b = local[rows, tangents[:, 1]].clip(0, 1)

        corners = self._faces.openness[faces]
        low = corners[:, 0] * (1 - a) + corners[:, 1] * a
        high = corners[:, 3] * (1 - a) + corners[:, 2] * a
        light = 1 - AMBIENT_OCCLUSION * (1 - (low * (1 - b) + high * b))

        pixel = view.pixel_size(depth)
        edge_a = np.minimum(a, 1 - a) * self._voxel_size[tangents[:, 0]]
        edge_b = np.minimum(b, 1 - b) * self._voxel_size[tangents[:, 1]]
        inside = 0.03 * self._voxel_size[0] + 0.6 * pixel - np.minimum(edge_a, edge_b)
        line = (inside / pixel).clip(0, 1)
        # Lines of voxels that are only a few pixels wide would turn a surface into noise.
        strength = ((self._voxel_size[0] / pixel - 2.5) / 6).clip(0, 1)
        light *= 1 - EDGE_DARKNESS * strength * line

        colours = self._colours[faces] * light[:, None]
        if fade:
            distance = np.linalg.norm(points - rays[:, :3], axis=1)
            amount = FADE_STRENGTH * (1 - np.exp(-distance / FADE_LENGTH))
            colours += amount[:, None] * (BACKGROUND - colours)
        return colours

    def _draw_stage(
        self, picture: np.ndarray, rays: np.ndarray, depth: np.ndarray, view: View
    ) -> None:
        """Adds the floor and the car where no voxel stands before them."""
        hits = self._stage_scene.cast_rays(o3d.core.Tensor(rays))
        stage_depth = hits["t_hit"].numpy()
        hit = np.flatnonzero(stage_depth < depth)
        if not len(hit):
            return
        geometry = hits["geometry_ids"].numpy()[hit]
        normals = hits["primitive_normals"].numpy()[hit]
        points = rays[hit, :3] + stage_depth[hit, None] * rays[hit, 3:]

        cells = ((points - self._origin) / self._voxel_size)[:, :2].astype(np.int64)
        cells = cells.clip(0, np.array(self._floor_seen.shape) - 1)
        grey = np.where(self._floor_seen[tuple(cells.T)], FLOOR_SEEN, FLOOR_UNSEEN)
        pixel = view.pixel_size(stage_depth[hit])
        distance = np.abs(points[:, :2] - 10 * np.round(points[:, :2] / 10)).min(axis=1)
        grey += ((0.04 + 0.7 * pixel - distance) / pixel).clip(0, 1) * (FLOOR_LINE - grey)

        light = 0.62 + 0.38 * np.abs(normals[:, 2:]) + 0.12 * np.abs(normals[:, 1:2])
        body = np.where((geometry == 1)[:, None], GLASS_COLOUR, CAR_COLOUR) * light
        floor = self._with_border(np.repeat(grey[:, None], 3, axis=1), points, pixel)
        picture[hit] = np.where((geometry == 0)[:, None], floor, body)

    def _with_border(
        self, colours: np.ndarray, points: np.ndarray, pixel: np.ndarray
    ) -> np.ndarray:
        """Returns colours (N, 3) with the border of the field of view drawn over them.

        ``points`` (N, 3) is where the colours are, metres; ``pixel`` (N) their pixels' size there.
        """
        if self._border is None:
            return colours
        # Values of the map belong to the centres of the columns.
        columns = ((points - self._origin) / self._voxel_size)[:, :2].T - 0.5
        distance = ndimage.map_coordinates(self._border, columns, order=1, mode="nearest")
        # In pixels of the finished picture, which averages several of these.
        distance = np.abs(distance) / (SUPERSAMPLING * pixel)
        for grey, width in ((BORDER_RIM, RIM_WIDTH), (BORDER, BORDER_WIDTH)):
            amount = ((width - distance) * SUPERSAMPLING + 0.5).clip(0, 1)[:, None]
            colours = colours + amount * (grey - colours)
        return colours


def _border_distance(seen: np.ndarray, cell: np.ndarray) -> np.ndarray | None:
    """Distance in metres of the centres of a floor's cells to the border of the seen part, (X, Y).

    It is negative in the part that is not seen, so that it is 0 on the border between two centres.
    Where all or nothing is seen, there is no border.

    Args:
        seen: Whether the cell is in view, bool (X, Y).
        cell: Edges of a cell in metres (2).
    """
    if seen.all() or not seen.any():
        return None
    # Distances to the nearest centre on the other side, half a cell beyond the border.
    inside, outside = (ndimage.distance_transform_edt(part, cell) for part in (seen, ~seen))
    half = cell.mean() / 2
    return np.where(seen, inside - half, half - outside)


def _box(lower: Any, upper: Any, top_inset: float = 0.0) -> o3d.t.geometry.TriangleMesh:
    """Returns a box, narrower at its top by ``top_inset`` metres a side."""
    mesh = o3d.t.geometry.TriangleMesh.create_box()
    unit = mesh.vertex.positions.numpy()
    vertices = np.asarray(lower) + unit * np.subtract(upper, lower)
    vertices[:, :2] += np.where(unit[:, :2] > 0.5, -top_inset, top_inset) * (unit[:, 2:] > 0.5)
    mesh.vertex.positions = o3d.core.Tensor(vertices.astype(np.float32))
    return mesh
