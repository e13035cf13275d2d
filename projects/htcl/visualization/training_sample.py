"""What the training sees of one sample, on one page: N camera, H W image, h w feature map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from htcl.geometry import Camera, field_of_view
from htcl.visualization.map_colours import colour_bar, colour_map, overlay
from htcl.visualization.page import GAP, MARGIN, NOTES, Page, draw_legend, resize, tile, tile_size
from htcl.visualization.views import top_view

DEPTH_SCHEME = "magma_r"
UNSCORED = (200, 200, 200)


def render_training_sample(
    inputs: Mapping[str, Any],
    data_sample: Any,
    depth_target: np.ndarray | None = None,
    row_height: int = 240,
) -> np.ndarray:
    """Draws images, lidar, depth target and voxel labels of a packed sample, uint8 (H, W, 3).

    Parts that the sample does not hold are left out; the pictures of several cameras stand
    together.

    Args:
        inputs: Inputs of one sample before the data preprocessor, as the data contract names them.
        data_sample: Its ``Det3DDataSample``, with ``gt_voxels`` if there are labels.
        depth_target: Depth that the depth loss asks for, metres, 0 = none, (N, h, w).
        row_height: Height of a row of images, pixels.
    """
    meta, camera = data_sample.metainfo, inputs["cameras"]
    images = _images(inputs["images"])
    count, height, width = images.shape[:3]
    # Cameras all around stand in two rows, those in front above.
    across = -(-count // 2) if count > 2 else 2
    column = round(row_height * across * width / (2 * height))
    page = Page(2 * MARGIN + 2 * column + GAP)
    moved = not np.allclose(camera.augmentation, np.eye(4), atol=1e-6)
    page.add_title(
        f"Sequence {meta['sequence']}, frame {meta['frame']}",
        "voxels and lidar are augmented (flip, turn, scale)" if moved else "voxels as recorded",
    )

    def row(*pictures: tuple[str, Sequence[np.ndarray] | np.ndarray]) -> None:
        tiled = [(caption, tile(each, (row_height, column))) for caption, each in pictures]
        page.add_row(tiled, [column] * len(tiled), row_height)

    left, right = ("Left image", "Right image") if count == 1 else ("Images", "Right images")
    pair = [(f"{left}, {width} x {height}", images)]
    if "right" in inputs:
        pair.append((right, _images(inputs["right"])))
    row(*pair)
    if "history" in inputs:
        now = _images(inputs.get("current", inputs["images"]))
        frames = [*_images(inputs["history"]), now]
        names = [Path(paths[0]).stem for paths in (*meta["history_paths"], meta["image_paths"])]
        captions = [f"History: {left.lower()} of frame {name}" for name in names]
        captions[-1] += " (current)"
        pictures = list(zip(captions, frames, strict=True))
        for k in range(0, len(pictures), 2):
            row(*pictures[k : k + 2])
    lidar: list[tuple[str, Sequence[np.ndarray]]] = []
    limits = _depth_limits(inputs, depth_target)
    if "depth_maps" in inputs:
        maps = zip(images, inputs["depth_maps"].numpy(), strict=True)
        drawn = [_depth_points(*each, limits) for each in maps]
        lidar.append(("Lidar by depth (depth map)", drawn))
    if "point_uvd" in inputs:
        labels, specification = inputs["point_labels"].numpy(), meta["specification"]
        scored = labels != specification.empty_class
        colours = np.where(scored[:, None], specification.colours[labels], UNSCORED)
        points = zip(images, inputs["point_uvd"].numpy(), strict=True)
        drawn = [_class_points(*each, colours.astype(np.uint8)) for each in points]
        counts = f"{len(labels)} points, {scored.sum()} of a scored class (grey: none)"
        lidar.append((f"Lidar by class: {counts}", drawn))
    if lidar:
        row(*lidar)
    if depth_target is not None:
        row(*_target_pictures(images, depth_target, limits))
    if lidar or depth_target is not None:
        page.add_row([("", colour_bar(limits, DEPTH_SCHEME, "m", (46, column)))], [column], 46)
    if "gt_voxels" in data_sample:
        _add_voxels(page, camera, data_sample, images, column, row_height)
    return page.draw()


def _images(tensor: Any) -> np.ndarray:
    """(..., 3, H, W) -> (..., H, W, 3)."""
    return np.ascontiguousarray(np.moveaxis(np.asarray(tensor), -3, -1))


def _depth_limits(inputs: Mapping[str, Any], target: np.ndarray | None) -> tuple[float, float]:
    values = [np.asarray(inputs["depth_maps"])] if "depth_maps" in inputs else []
    values += [] if target is None else [target]
    found = np.concatenate([v[v > 0].ravel() for v in values]) if values else np.empty(0)
    return (0.0, float(np.quantile(found, 0.98))) if len(found) else (0.0, 1.0)


def _draw_dots(
    image: np.ndarray, x: np.ndarray, y: np.ndarray, depth: np.ndarray, colours: np.ndarray
) -> np.ndarray:
    """Draws squares, the nearest on top, so large that about a tenth of the image is covered."""
    scale = max(1, -(-480 // image.shape[0]))
    # A pale grey image on which dots show.
    grey = image.astype(np.float32).mean(axis=2, keepdims=True)
    pale = np.repeat(150 + 0.35 * grey, 3, axis=2).clip(0, 255).astype(np.uint8)
    picture = pale.repeat(scale, axis=0).repeat(scale, axis=1)
    radius = max(1, round(0.15 * (picture.shape[0] * picture.shape[1] / max(len(x), 1)) ** 0.5))
    order = np.argsort(-depth)
    columns = np.round((x[order] + 0.5) * scale - 0.5).astype(int)
    rows = np.round((y[order] + 0.5) * scale - 0.5).astype(int)
    colours = colours[order]
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            r, c = rows + dy, columns + dx
            keep = (r >= 0) & (r < picture.shape[0]) & (c >= 0) & (c < picture.shape[1])
            picture[r[keep], c[keep]] = colours[keep]
    return picture


def _depth_points(image: np.ndarray, depth: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    y, x = np.nonzero(depth)
    values = depth[y, x]
    colours = colour_map(values[None], np.ones((1, len(values)), bool), limits, DEPTH_SCHEME)[0]
    return _draw_dots(image, x, y, values, colours)


def _class_points(image: np.ndarray, uvd: np.ndarray, colours: np.ndarray) -> np.ndarray:
    seen = (uvd[:, 2] > 0) & (np.abs(uvd[:, :2]) <= 1).all(axis=1)
    height, width = image.shape[:2]
    x, y = ((uvd[seen, k] + 1) * side / 2 - 0.5 for k, side in ((0, width), (1, height)))
    return _draw_dots(image, x, y, uvd[seen, 2], colours[seen])


def _target_pictures(
    images: np.ndarray, target: np.ndarray, limits: tuple[float, float]
) -> tuple[tuple[str, list[np.ndarray]], tuple[str, list[np.ndarray]]]:
    painted, mixed = [], []
    for image, depth in zip(images, target, strict=True):
        size = image.shape[:2]
        large = resize(colour_map(depth, depth > 0, limits, DEPTH_SCHEME), size, smooth=False)
        labelled = resize(depth > 0, size, smooth=False)[..., None]
        painted.append(large)
        mixed.append(np.where(labelled, 0.6 * large + 0.4 * image, image).astype(np.uint8))
    share = 100 * (target > 0).mean()
    height, width = target.shape[1:]
    return (
        (f"Depth target, {width} x {height} cells, {share:.0f} % labelled", painted),
        ("Depth target over the image", mixed),
    )


def _add_voxels(
    page: Page, camera: Camera, data_sample: Any, images: np.ndarray, column: int, row_height: int
) -> None:
    from htcl.visualization.voxel_renderer import VoxelRenderer

    labels, specification = data_sample.gt_voxels.semantics, data_sample.metainfo["specification"]
    labels, grid, unscored = labels.numpy(), specification.grid, specification.ignore_index
    projections = camera.intrinsics.double().numpy().copy()
    projections[:, :3] = camera.image_transform.double().numpy() @ projections[:, :3]
    size, room, top_height = images.shape[1:3], (row_height, column), 2 * row_height
    cameras = (projections, camera.augmented_from_camera.numpy(), size)
    in_view, empty = field_of_view(grid, *cameras), specification.empty_class
    renderer = VoxelRenderer(labels, grid, specification.colours, in_view, empty, unscored)
    views = renderer.render_cameras(*cameras, tile_size(len(images), size, room))
    top = renderer.render_smooth(partial(top_view, grid), (top_height, top_height), fade=False)
    scored = labels != unscored
    counts = (
        f"{' x '.join(map(str, labels.shape))} voxels, {100 * scored.mean():.0f} % scored, "
        f"{(labels[scored] != empty).sum()} occupied"
    )
    row = [
        (f"Voxel labels, camera view: {counts}", tile(views, room)),
        ("The same over the image", tile(overlay(views, images), room)),
    ]
    page.add_row(row, [column, column], row_height)
    drawn = list(specification.counted_classes)
    names, colours = [specification.class_names[k] for k in drawn], specification.colours[drawn]
    legend = draw_legend(names, colours, (top_height, column), max(1, column // 300), NOTES)
    row = [("Voxel labels from above (forward is up)", top), ("Classes", legend)]
    page.add_row(row, [column, column], top_height)
