"""The picture of one frame: input images, prediction, ground truth, legend."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from htcl.errors import InvalidValueError
from htcl.visualization.error_map import ERROR_NAMES, ERROR_PALETTE, error_map
from htcl.visualization.frame_scores import frame_scores, view_scores
from htcl.visualization.map_colours import colour_bar, colour_map, limits_of, overlay
from htcl.visualization.page import GAP, MARGIN, NOTES, Page, draw_legend, resize, tile, tile_size
from htcl.visualization.result_file import FrameResult
from htcl.visualization.supported_depth import supported_depth
from htcl.visualization.views import chase_view, top_aspect, top_view

# Widest camera column and chase view, in heights of a row.
CAMERA_ASPECT, CHASE_ASPECT = 3.4, 1.6


def render_overview(
    result: FrameResult,
    error: bool = False,
    depth: bool = False,
    affinity: bool = False,
    row_height: int = 340,
) -> np.ndarray:
    """Draws everything about one frame on one page, uint8 (H, W, 3).

    Args:
        result: The frame; a row of ground truth appears if it has one.
        error: Add a row that shows missed, invented and wrongly labelled voxels.
        depth: Add a row with the depth of the best plane, where the prediction has a surface.
        affinity: Add a row with the temporal affinity.
        row_height: Height of a row of pictures in pixels; the page scales with it.

    Raises:
        InvalidValueError: If an asked-for row needs something that the result does not hold.
    """
    asked = {"ground_truth": error, "depth_plane": depth, "temporal_affinity": affinity}
    for name, wanted in asked.items():
        if wanted and getattr(result, name) is None:
            raise InvalidValueError(
                f"frame {result.name} holds no {name}, so this row cannot be drawn"
            )
    columns = _columns(result, row_height)
    legend_width = columns[1] + GAP + columns[2]
    page = Page(2 * MARGIN + sum(columns) + 2 * GAP)
    page.add_title(f"Sequence {result.sequence}, frame {result.frame}", frame_scores(result))
    in_view = result.in_view

    notes = [*view_scores(result, in_view), *NOTES]
    add_input(page, result, [columns[0], legend_width], row_height, 3, notes)
    empty = (result.empty_class, result.ignore_index)
    grids = [("Prediction", result.prediction, result.palette, empty)]
    if result.ground_truth is not None:
        grids.append(("Ground truth", result.ground_truth, result.palette, empty))
    if error and result.ground_truth is not None:
        categories = error_map(result.prediction, result.ground_truth, *empty)
        grids.append(("Errors", categories, ERROR_PALETTE, (0, 0)))
    for grid in grids:
        page.add_row(_three_views(result, *grid, in_view, columns, row_height), columns, row_height)
    if error:
        names = list(ERROR_NAMES[1:])
        legend = draw_legend(names, ERROR_PALETTE[1:], (34, columns[0]), len(names))
        page.add_row([("", legend)], [columns[0]], 34)
    if depth and result.depth_plane is not None:
        values = supported_depth(result)
        # Near is bright, far is dark, so that it reads in grey as well.
        maps = (
            "Depth of the best plane (grey: no voxel is predicted there)",
            values,
            "magma_r",
            "m",
        )
        _add_maps(page, *maps, result, columns, row_height)
    if affinity and result.temporal_affinity is not None:
        maps = ("Temporal affinity", result.temporal_affinity, "viridis", "")
        _add_maps(page, *maps, result, columns, row_height)
    return page.draw()


def add_input(
    page: Page,
    result: FrameResult,
    columns: Sequence[int],
    height: int,
    legend_columns: int,
    notes: Sequence[str],
) -> None:
    """Adds the row of the images that the network saw, and the legend of the classes.

    Args:
        page: Where to add it.
        result: The frame.
        columns: Widths of images and legend in pixels.
        height: Height of the row in pixels.
        legend_columns: Number of columns of classes.
        notes: Lines below the classes.
    """
    drawn = result.drawn_classes
    names, size = [result.class_names[k] for k in drawn], (height, columns[1])
    legend = draw_legend(names, result.palette[drawn], size, legend_columns, notes)
    images = tile(result.images, (height, columns[0]))
    caption = "Left image (input)" if len(result.images) == 1 else "Images of the cameras (input)"
    page.add_row([(caption, images), ("Classes", legend)], columns, height)


def _columns(result: FrameResult, row_height: int) -> list[int]:
    """Widths of the camera, chase and top columns in pixels."""
    cameras, height, width = result.images.shape[:3]
    camera = np.clip(cameras * width / height, 1.6, CAMERA_ASPECT)
    aspects = (camera, CHASE_ASPECT, top_aspect(result.grid))
    return [round(row_height * aspect) for aspect in aspects]


def _three_views(
    result: FrameResult,
    title: str,
    labels: np.ndarray,
    palette: np.ndarray,
    empty: tuple[int, int],
    in_view: np.ndarray,
    columns: list[int],
    row_height: int,
) -> list[tuple[str, np.ndarray]]:
    """Renders a grid from the cameras, from behind and from above."""
    from htcl.visualization.voxel_renderer import VoxelRenderer

    size, grid, room = result.images.shape[1:3], result.grid, (row_height, columns[0])
    cameras = (result.projections, result.reference_from_camera, size)
    renderer = VoxelRenderer(labels, grid, palette, in_view, *empty)
    views = renderer.render_cameras(*cameras, tile_size(len(result.images), size, room))
    behind = renderer.render_smooth(partial(chase_view, grid), (row_height, columns[1]))
    above = renderer.render_smooth(partial(top_view, grid), (row_height, columns[2]), fade=False)
    return [
        (f"{title}: camera view", tile(views, room)),
        (f"{title}: from behind", behind),
        (f"{title}: above", above),
    ]


def _add_maps(
    page: Page,
    title: str,
    values: np.ndarray,
    scheme: str,
    unit: str,
    result: FrameResult,
    columns: list[int],
    row_height: int,
) -> None:
    """Adds the maps of the cameras beside themselves laid over the images, with a colour bar."""
    valid = np.isfinite(values)
    limits = limits_of(values, valid)
    room, side = (row_height, columns[0]), columns[1] + GAP + columns[2]
    cell = tile_size(len(result.images), result.images.shape[1:3], room)
    painted = [
        resize(colour_map(*each, limits, scheme), cell, smooth=False)
        for each in zip(values, valid, strict=True)
    ]
    mixed = tile(overlay(painted, result.images), (row_height - 70, side))
    block = np.full((row_height, side, 3), 255, dtype=np.uint8)
    block[: mixed.shape[0], : mixed.shape[1]] = mixed
    block[-50:] = colour_bar(limits, scheme, unit, (50, side))
    pictures = [(title, tile(painted, room)), ("The same over the image", block)]
    page.add_row(pictures, [columns[0], side], row_height)
