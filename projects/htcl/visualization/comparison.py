"""The picture that compares predictions of one frame: from above and from behind, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from htcl.errors import InvalidValueError
from htcl.visualization.frame_scores import view_scores
from htcl.visualization.overview import CHASE_ASPECT, add_input
from htcl.visualization.page import CAPTION_SIZE, GAP, MARGIN, NOTE_SIZE, NOTES, Page, font
from htcl.visualization.result_file import FrameResult
from htcl.visualization.views import chase_view, top_aspect, top_view


def render_comparison(
    results: Sequence[FrameResult], titles: Sequence[str], row_height: int = 340
) -> np.ndarray:
    """Draws several predictions of one frame on one page, uint8 (H, W, 3).

    Images and legend stand above a row of views from above and a row of views from behind. The
    ground truth, if one of the results has it, comes first; the scores of all predictions in and
    out of view are against it. The images, and with them what is in view, are those of the first.

    Args:
        results: The predictions.
        titles: What to call each.
        row_height: Height of the views from behind in pixels; the page scales with it.

    Raises:
        InvalidValueError: If the results are not of the same frame, grid and classes.
    """
    require_same_frame(results, titles)
    first = results[0]
    truth = next((each.ground_truth for each in results if each.ground_truth is not None), None)
    in_view, grid = first.in_view, first.grid
    # Title, scores and labels of each column.
    shown: list[tuple[str, list[str], np.ndarray]] = []
    if truth is not None:
        shown.append(("Ground truth", [], truth))
    for title, result in zip(titles, results, strict=True):
        scores = view_scores(replace(result, ground_truth=truth), in_view)
        shown.append((title, scores, result.prediction))

    # A column is at least as wide as its captions, so that neighbours never overlap.
    widths = [font(CAPTION_SIZE).getlength(f"{title}: from behind") for title, *_ in shown]
    widths += [
        font(NOTE_SIZE).getlength(line) for _, scores, _ in shown for line in [*scores, *NOTES]
    ]
    column = round(max(CHASE_ASPECT * row_height, *widths))
    columns = [column] * len(shown)
    # The views from above, which show best what is out of view, fill their columns.
    top_size, chase_size = (round(column / top_aspect(grid)), column), (row_height, column)
    above, behind = [], []
    for title, scores, labels in shown:
        views = _two_views(first, labels, in_view, top_size, chase_size)
        above.append(("\n".join([f"{title}: above", *scores]), views[0]))
        behind.append((f"{title}: from behind", views[1]))

    inner = sum(columns) + GAP * (len(columns) - 1)
    page = Page(2 * MARGIN + inner)
    page.add_title(f"Sequence {first.sequence}, frame {first.frame}")
    # The legend has the last column, the images have the others.
    add_input(page, first, [inner - GAP - column, column], row_height, 2, NOTES)
    page.add_row(above, columns, top_size[0])
    page.add_row(behind, columns, row_height)
    return page.draw()


def require_same_frame(results: Sequence[FrameResult], names: Sequence[str | Path]) -> None:
    """Refuses results that cannot stand side by side; ``names`` says what to call each.

    Raises:
        InvalidValueError: If they differ in frame, grid, classes, place of the cameras, or labels
            of the ground truth.
    """
    first = results[0]
    wrong = []
    for result, name in zip(results[1:], names[1:], strict=True):
        if found := _differences(first, result):
            wrong.append(f"{name} has {', '.join(found)}")
    # One result may hold the ground truth for all, so any may be the first that does.
    labelled = [
        (name, result.ground_truth)
        for name, result in zip(names, results, strict=True)
        if result.ground_truth is not None
    ]
    if not wrong:
        wrong = [
            f"{name} has other ground truth than {labelled[0][0]}"
            for name, truth in labelled[1:]
            if not np.array_equal(truth, labelled[0][1])
        ]
    if wrong:
        raise InvalidValueError(
            f"cannot compare with {names[0]}: {'; '.join(wrong)}. "
            "Choose results of the same frame, grid and classes"
        )


def _differences(first: FrameResult, other: FrameResult) -> list[str]:
    """What keeps ``other`` from standing beside ``first``: found and expected."""
    found = []
    for what, here, expected in (
        ("frame", other.name, first.name),
        ("grid", other.grid, first.grid),
        ("number of classes", len(other.class_names), len(first.class_names)),
        ("label of free space", other.empty_class, first.empty_class),
        ("label that is not scored", other.ignore_index, first.ignore_index),
    ):
        if here != expected:
            found.append(f"{what} {here} (expected {expected})")
    for i, (here, expected) in enumerate(zip(other.class_names, first.class_names, strict=False)):
        if here != expected:
            found.append(f"class {i} {here!r} (expected {expected!r})")
            break
    motions = other.reference_from_camera, first.reference_from_camera
    if motions[0].shape != motions[1].shape or not np.allclose(*motions, atol=1e-4):
        found.append("cameras at other places in the grid")
    return found


def _two_views(
    result: FrameResult,
    labels: np.ndarray,
    in_view: np.ndarray,
    top_size: tuple[int, int],
    chase_size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Renders labels (X, Y, Z) from above and from behind; sizes are (H, W)."""
    from htcl.visualization.voxel_renderer import VoxelRenderer

    grid, empty = result.grid, (result.empty_class, result.ignore_index)
    renderer = VoxelRenderer(labels, grid, result.palette, in_view, *empty)
    above = renderer.render_smooth(partial(top_view, grid), top_size, fade=False)
    return above, renderer.render_smooth(partial(chase_view, grid), chase_size)
