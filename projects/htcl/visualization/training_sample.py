"""What the training sees of one sample, on one page.

Shape letters: T frame, H W image, h w feature map, X Y Z voxel, N point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from htcl.datasets.labels import CLASS_NAMES, IGNORE_INDEX, PALETTE
from htcl.visualization.map_colours import colour_bar, colour_map
from htcl.visualization.page import GAP, MARGIN, Page, draw_legend, fit
from htcl.visualization.views import camera_view, field_of_view, top_view
from htcl.visualization.voxel_renderer import VoxelRenderer

DEPTH_SCHEME = "turbo_r"
SUPERSAMPLING = 2
UNSCORED = (200, 200, 200)


def render_training_sample(
    inputs: Mapping[str, Any],
    data_sample: Any,
    depth_target: np.ndarray | None = None,
    row_height: int = 240,
    palette: np.ndarray = PALETTE,
) -> np.ndarray:
    """Draws images, lidar, depth target and voxel labels of a packed sample.

    Parts that the sample does not hold are left out.

    Args:
        inputs: Inputs of one sample before the data preprocessor, as the data contract names them.
        data_sample: Its ``Det3DDataSample``, with ``gt_voxels`` if there are labels.
        depth_target: Depth that the depth loss asks for, metres, 0 = none, (h, w).
        row_height: Height of an image row, pixels.
        palette: RGB colour of every label, uint8 (K, 3).

    Returns:
        uint8 (H, W, 3).
    """
    meta = data_sample.metainfo
    left = _image(inputs["left"])
    height, width = left.shape[:2]
    column = round(row_height * width / height)
    page = Page(2 * MARGIN + 2 * column + GAP)
    moved = "augmented_from_lidar" in inputs and not np.allclose(
        inputs["augmented_from_lidar"], np.eye(4), atol=1e-6
    )
    page.add_title(
        f"Sequence {meta['sequence']}, frame {meta['frame']}",
        "voxels and lidar are augmented (flip, turn, scale)" if moved else "voxels as recorded",
    )
    cell = (row_height, column)

    def row(*pictures: tuple[str, np.ndarray]) -> None:
        fitted = [(caption, fit(picture, cell)) for caption, picture in pictures]
        page.add_row(fitted, [column] * len(fitted), row_height)

    pair = [(f"Left image, {width} x {height}", left)]
    if "right" in inputs:
        pair.append(("Right image", _image(inputs["right"])))
    row(*pair)
    if "frames" in inputs:
        history = [_image(frame) for frame in inputs["frames"]]
        names = [_stem(path) for path in meta.get("frame_paths") or [""] * len(history)]
        captions = [
            f"History: left image of frame {name}" + (" (current)" if k + 1 == len(names) else "")
            for k, name in enumerate(names)
        ]
        pictures = list(zip(captions, history, strict=True))
        for k in range(0, len(pictures), 2):
            row(*pictures[k : k + 2])
    lidar = []
    limits = _depth_limits(inputs, depth_target)
    if "depth_map" in inputs:
        depth = np.asarray(inputs["depth_map"])
        lidar.append(("Lidar by depth (depth map)", _depth_points(left, depth, limits)))
    if "point_uvd" in inputs:
        uvd, labels = np.asarray(inputs["point_uvd"]), np.asarray(inputs["point_labels"])
        lidar.append(
            (
                f"Lidar by class: {len(labels)} points, {(labels > 0).sum()} of a scored class "
                "(grey: none)",
                _class_points(left, uvd, labels, palette),
            )
        )
    if lidar:
        row(*lidar)
    if depth_target is not None:
        row(*_target_pictures(left, depth_target, limits))
    if lidar or depth_target is not None:
        page.add_row([("", colour_bar(limits, DEPTH_SCHEME, "m", (46, column)))], [column], 46)
    if "gt_voxels" in data_sample:
        _add_voxels(page, inputs, data_sample, left, column, row_height, palette)
    return page.draw()


def _image(tensor: Any) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(np.asarray(tensor), 0, -1))


def _stem(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]


def _depth_limits(inputs: Mapping[str, Any], target: np.ndarray | None) -> tuple[float, float]:
    values = [np.asarray(inputs["depth_map"])] if "depth_map" in inputs else []
    values += [] if target is None else [target]
    found = np.concatenate([v[v > 0].ravel() for v in values]) if values else np.empty(0)
    return (0.0, float(np.quantile(found, 0.98))) if len(found) else (0.0, 1.0)


def _dim(image: np.ndarray) -> np.ndarray:
    """A pale grey image on which dots show."""
    grey = image.astype(np.float32).mean(axis=2, keepdims=True)
    return np.repeat(150 + 0.35 * grey, 3, axis=2).clip(0, 255).astype(np.uint8)


def _draw_dots(
    image: np.ndarray, x: np.ndarray, y: np.ndarray, depth: np.ndarray, colours: np.ndarray
) -> np.ndarray:
    """Draws squares, the nearest on top, so large that about a tenth of the image is covered."""
    scale = max(1, -(-480 // image.shape[0]))
    picture = _dim(image).repeat(scale, axis=0).repeat(scale, axis=1)
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


def _class_points(
    image: np.ndarray, uvd: np.ndarray, labels: np.ndarray, palette: np.ndarray
) -> np.ndarray:
    seen = (uvd[:, 2] > 0) & (np.abs(uvd[:, :2]) <= 1).all(axis=1)
    uvd, labels = uvd[seen], labels[seen]
    height, width = image.shape[:2]
    x, y = ((uvd[:, k] + 1) * side / 2 - 0.5 for k, side in ((0, width), (1, height)))
    colours = palette[labels]
    colours[labels == 0] = UNSCORED
    return _draw_dots(image, x, y, uvd[:, 2], colours)


def _target_pictures(
    image: np.ndarray, target: np.ndarray, limits: tuple[float, float]
) -> Sequence[tuple[str, np.ndarray]]:
    painted = colour_map(target, target > 0, limits, DEPTH_SCHEME)
    large = np.asarray(
        Image.fromarray(painted).resize(image.shape[1::-1], Image.Resampling.NEAREST)
    )
    labelled = np.asarray(
        Image.fromarray(target > 0).resize(image.shape[1::-1], Image.Resampling.NEAREST)
    )
    mixed = np.where(labelled[..., None], 0.6 * large + 0.4 * image, image).astype(np.uint8)
    share = 100 * (target > 0).mean()
    height, width = target.shape
    return (
        (f"Depth target, {width} x {height} cells, {share:.0f} % labelled", large),
        ("Depth target over the image", mixed),
    )


def _add_voxels(
    page: Page,
    inputs: Mapping[str, Any],
    data_sample: Any,
    left: np.ndarray,
    column: int,
    row_height: int,
    palette: np.ndarray,
) -> None:
    labels = np.asarray(data_sample.gt_voxels.semantics)
    meta = data_sample.metainfo
    origin = np.asarray(meta["voxel_origin"], dtype=np.float64)
    voxel_size = np.broadcast_to(np.asarray(meta["voxel_size"], dtype=np.float64), 3)
    voxel_from_camera = np.asarray(inputs["lidar_from_camera"], dtype=np.float64)
    if "augmented_from_lidar" in inputs:
        augmented = np.asarray(inputs["augmented_from_lidar"], dtype=np.float64)
        voxel_from_camera = augmented @ voxel_from_camera
    projection = np.asarray(inputs["intrinsics_left"], dtype=np.float64).copy()
    transform = np.asarray(inputs["pixel_transform"], dtype=np.float64)
    projection[:3] = transform @ projection[:3]
    geometry = (projection, voxel_from_camera, left.shape[:2])
    in_view = field_of_view(labels.shape, origin, voxel_size, *geometry)
    renderer = VoxelRenderer(labels, origin, voxel_size, palette, in_view)
    camera = _reduced(
        renderer,
        lambda size: camera_view(*geometry, size),
        (row_height, column),
        stage=False,
    )
    top_height = 2 * row_height
    top = _reduced(
        renderer,
        lambda size: top_view(renderer.origin, renderer.extent, size),
        (top_height, top_height),
        fade=False,
    )
    scored = labels != IGNORE_INDEX
    counts = (
        f"{' x '.join(map(str, labels.shape))} voxels, "
        f"{100 * scored.mean():.0f} % scored, {(labels[scored] > 0).sum()} occupied"
    )
    over = (0.5 * np.asarray(fit(left, camera.shape[:2])) + 0.5 * camera).astype(np.uint8)
    page.add_row(
        [(f"Voxel labels, camera view: {counts}", camera), ("The same over the image", over)],
        [column, column],
        row_height,
    )
    columns = max(1, column // 300)
    legend = draw_legend(
        CLASS_NAMES[1:],
        palette[1:],
        (top_height, column),
        columns,
        ("Darker and greyer: outside the camera's view. Grey lines: every 10 m.",),
    )
    page.add_row(
        [("Voxel labels from above (forward is up)", top), ("Classes", legend)],
        [column, column],
        top_height,
    )


def _reduced(
    renderer: VoxelRenderer, view: Any, size: tuple[int, int], **options: bool
) -> np.ndarray:
    """Renders larger and averages, against jagged edges."""
    picture = renderer.render(view(tuple(SUPERSAMPLING * side for side in size)), **options)
    return np.asarray(Image.fromarray(picture).reduce(SUPERSAMPLING))
