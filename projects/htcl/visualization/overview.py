"""The picture of one frame: input image, prediction, ground truth, legend.

Shape letters: H W image, h w feature map, X Y Z voxel.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from htcl.datasets.labels import IGNORE_INDEX, PALETTE
from htcl.evaluation.ssc_confusion import confusion_matrix, ssc_scores
from htcl.visualization.error_map import ERROR_NAMES, ERROR_PALETTE, error_map
from htcl.visualization.map_colours import colour_bar, colour_map, limits_of
from htcl.visualization.page import GAP, MARGIN, Page, draw_legend, fit
from htcl.visualization.result_file import FrameResult
from htcl.visualization.views import camera_view, chase_view, field_of_view, top_view
from htcl.visualization.voxel_renderer import VoxelRenderer

# Rays a pixel and axis: pictures are rendered larger and averaged, against jagged edges.
SUPERSAMPLING = 2
# Widest camera column and chase view, in heights of a row.
CAMERA_ASPECT, CHASE_ASPECT = 3.4, 1.6
NOTES = ("Darker and greyer: outside the camera's view. Grey lines: every 10 m.",)


def render_overview(
    result: FrameResult,
    error: bool = False,
    depth: bool = False,
    affinity: bool = False,
    palette: np.ndarray = PALETTE,
    row_height: int = 340,
) -> np.ndarray:
    """Draws everything about one frame on one page.

    Args:
        result: The frame; a row of ground truth appears if it has one.
        error: Add a row that shows missed, invented and wrongly labelled voxels.
        depth: Add a row with the depth of the best plane.
        affinity: Add a row for every temporal affinity map.
        palette: RGB colour of every label, uint8 (K, 3).
        row_height: Height of a row of pictures in pixels; the page scales with it.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ValueError: If an asked-for row needs something that the result does not hold.
    """
    for name, wanted in (
        ("ground_truth", error),
        ("depth_plane", depth),
        ("temporal_affinity", affinity),
    ):
        if wanted and getattr(result, name) is None:
            raise ValueError(f"frame {result.name} holds no {name}, so this row cannot be drawn")
    columns = _columns(result, row_height)
    legend_width = columns[1] + GAP + columns[2]
    page = Page(2 * MARGIN + sum(columns) + 2 * GAP)
    page.add_title(f"Sequence {result.sequence}, frame {result.frame}", _scores(result))

    legend = draw_legend(
        result.class_names[1:],
        palette[1 : len(result.class_names)],
        (row_height, legend_width),
        3,
        NOTES,
    )
    image = fit(result.left, (row_height, columns[0]))
    page.add_row(
        [("Left image (input)", image), ("Classes", legend)], [columns[0], legend_width], row_height
    )
    page.add_row(
        _three_views("Prediction", result.prediction, palette, result, columns, row_height),
        columns,
        row_height,
    )
    if result.ground_truth is not None:
        views = _three_views(
            "Ground truth", result.ground_truth, palette, result, columns, row_height
        )
        page.add_row(views, columns, row_height)
    if error:
        categories = error_map(result.prediction, result.ground_truth)
        views = _three_views("Errors", categories, ERROR_PALETTE, result, columns, row_height)
        page.add_row(views, columns, row_height)
        legend = draw_legend(
            ERROR_NAMES[1:], ERROR_PALETTE[1:], (34, columns[0]), len(ERROR_NAMES) - 1
        )
        page.add_row([("", legend)], [columns[0]], 34)
    if depth:
        values = result.depth_plane
        _add_map(
            page,
            "Depth of the best plane",
            values,
            values > 0,
            "turbo_r",
            "m",
            image,
            columns,
            row_height,
        )
    for k, values in enumerate(result.temporal_affinity if affinity else ()):
        past = len(result.temporal_affinity) - k
        title = (
            "Temporal affinity"
            if past == 1 and k == 0
            else f"Temporal affinity, {past} frame(s) before"
        )
        _add_map(
            page, title, values, np.isfinite(values), "viridis", "", image, columns, row_height
        )
    return page.draw()


def _columns(result: FrameResult, row_height: int) -> list[int]:
    """Widths of the camera, chase and top columns in pixels."""
    height, width = result.left.shape[:2]
    extent = np.array(result.prediction.shape) * result.voxel_size
    camera = np.clip(width / height, 1.6, CAMERA_ASPECT)
    top = np.clip(extent[1] / (extent[0] + 5.0), 0.4, 1.6)
    return [round(row_height * aspect) for aspect in (camera, CHASE_ASPECT, top)]


def _scores(result: FrameResult) -> str:
    """The scores of this frame; a benchmark's come from one matrix over a whole split."""
    if result.ground_truth is None:
        return "no ground truth"
    grids = [torch.from_numpy(grid) for grid in (result.prediction, result.ground_truth)]
    confusion = confusion_matrix(*grids, len(result.class_names), IGNORE_INDEX).numpy()
    scores = ssc_scores(confusion)
    # Classes that occur nowhere in the frame say nothing about it.
    present = (confusion.sum(axis=0) + confusion.sum(axis=1))[1:] > 0
    mean = scores.class_iou[1:][present].mean() if present.any() else 0.0
    return (
        f"This frame: IoU {100 * scores.completion_iou:.1f} %   "
        f"mIoU {100 * mean:.1f} % ({present.sum()} classes present)"
    )


def _three_views(
    title: str,
    labels: np.ndarray,
    palette: np.ndarray,
    result: FrameResult,
    columns: list[int],
    row_height: int,
) -> list[tuple[str, np.ndarray]]:
    """Renders a grid from the car's camera, from behind and from above."""
    height, width = result.left.shape[:2]
    geometry = (result.left_projection, result.lidar_from_camera, (height, width))
    in_view = field_of_view(labels.shape, result.voxel_origin, result.voxel_size, *geometry)
    renderer = VoxelRenderer(labels, result.voxel_origin, result.voxel_size, palette, in_view)
    scale = min(row_height / height, columns[0] / width)
    sizes = [
        (round(scale * height), round(scale * width)),
        (row_height, columns[1]),
        (row_height, columns[2]),
    ]
    fine = [(SUPERSAMPLING * h, SUPERSAMPLING * w) for h, w in sizes]
    box = (renderer.origin, renderer.extent)
    pictures = (
        renderer.render(camera_view(*geometry, fine[0]), stage=False),
        renderer.render(chase_view(*box, fine[1])),
        renderer.render(top_view(*box, fine[2]), fade=False),
    )
    captions = (f"{title}: camera view", f"{title}: from behind", f"{title}: above")
    return [
        (caption, np.asarray(Image.fromarray(picture).reduce(SUPERSAMPLING)))
        for caption, picture in zip(captions, pictures, strict=True)
    ]


def _add_map(
    page: Page,
    title: str,
    values: np.ndarray,
    valid: np.ndarray,
    scheme: str,
    unit: str,
    image: np.ndarray,
    columns: list[int],
    row_height: int,
) -> None:
    """Adds a map beside itself laid over the image, with its colour bar."""
    limits = limits_of(values, valid)
    painted = np.asarray(
        Image.fromarray(colour_map(values, valid, limits, scheme)).resize(
            image.shape[1::-1], Image.Resampling.NEAREST
        )
    )
    mixed = (0.5 * painted + 0.5 * image).astype(np.uint8)
    side = columns[1] + GAP + columns[2]
    overlay = fit(mixed, (row_height - 70, side))
    bar = colour_bar(limits, scheme, unit, (50, side))
    block = np.full((row_height, side, 3), 255, dtype=np.uint8)
    block[: overlay.shape[0], : overlay.shape[1]] = overlay
    block[-50:] = bar
    page.add_row(
        [(title, painted), ("The same over the image", block)], [columns[0], side], row_height
    )
