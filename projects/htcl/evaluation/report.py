"""Scores of K classes as numbers, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from prettytable import PrettyTable

from htcl.datasets.specification import DatasetSpecification
from htcl.evaluation.regions import FULL
from htcl.evaluation.ssc_confusion import SSCScores, ssc_scores
from htcl.files import atomic_write


def scores_by_region(
    confusions: Mapping[str, np.ndarray], specification: DatasetSpecification
) -> dict[str, SSCScores]:
    """Scores of confusion matrices (K, K) by region, such as ``full``, ``12.8m``, ``in_view``."""
    return {
        name: ssc_scores(matrix, specification.empty_class, specification.absent_classes)
        for name, matrix in confusions.items()
    }


def metric_definition(
    specification: DatasetSpecification, confusions: Mapping[str, np.ndarray], frames: int
) -> dict[str, Any]:
    """What the scores mean, and over how much they are taken, as plain data.

    Args:
        specification: Whose rules.
        confusions: Matrices (K, K) by region, summed over the frames.
        frames: Number of scored frames.
    """
    names = specification.class_names
    return {
        "rules": specification.name,
        "grid": asdict(specification.grid),
        "own_grid": specification.has_own_grid,
        "classes_in_mean": [names[index] for index in specification.counted_classes],
        "classes_without_true_voxel": specification.absent_classes,
        "empty_class": names[specification.empty_class],
        "not_scored_label": specification.ignore_index,
        "scored_mask": specification.scored_mask,
        "frames": frames,
        "scored_voxels": {name: int(matrix.sum()) for name, matrix in confusions.items()},
    }


def as_percentages(
    scores: Mapping[str, SSCScores], specification: DatasetSpecification
) -> dict[str, float]:
    """The scores of :func:`scores_by_region` as a flat dict of percentages.

    Keys are ``IoU``, ``mIoU``, ``precision``, ``recall`` and ``IoU_<class>`` of the full grid, and
    the same with a prefix such as ``12.8m/`` or ``in_view/`` for another region. A class that does
    not count has no entry.
    """
    flat = {}
    for name, score in scores.items():
        prefix = "" if name == FULL else f"{name}/"
        flat[f"{prefix}IoU"] = 100 * score.completion_iou
        flat[f"{prefix}mIoU"] = 100 * score.mean_iou
        flat[f"{prefix}precision"] = 100 * score.precision
        flat[f"{prefix}recall"] = 100 * score.recall
        for index in specification.counted_classes:
            iou = 100 * float(score.class_iou[index])
            if not np.isnan(iou):
                flat[f"{prefix}IoU_{specification.class_names[index]}"] = iou
    return flat


def format_table(
    scores: Mapping[str, SSCScores],
    specification: DatasetSpecification,
    true_counts: np.ndarray,
    omit: Collection[str] = (),
) -> str:
    """A table with one row for each score and class, one column for each region, in per cent.

    The line below it says what the numbers are of: the classes in the mean, the voxels counted and
    the mask, and how a class without a true voxel counts.

    Args:
        scores: Scores by region.
        specification: Names the classes.
        true_counts: Scored voxels of each true class in the full grid, (K,); without any, a class
            is marked as absent, since its IoU of 0 says nothing.
        omit: Regions without a column, such as a range that repeats the full grid.
    """
    scores = {name: score for name, score in scores.items() if name not in omit}
    table = PrettyTable(["", *scores], align="r")
    table.align[""] = "l"
    overall: dict[str, Callable[[SSCScores], float]] = {
        "IoU (completion)": lambda s: s.completion_iou,
        "precision": lambda s: s.precision,
        "recall": lambda s: s.recall,
        "mIoU": lambda s: s.mean_iou,
    }
    for label, read in overall.items():
        table.add_row([label, *(f"{100 * read(s):.2f}" for s in scores.values())])
    table.add_divider()
    for index in specification.counted_classes:
        name = specification.class_names[index]
        label = name if true_counts[index] else f"{name} (absent)"
        values = (100 * score.class_iou[index] for score in scores.values())
        table.add_row([label, *("-" if np.isnan(value) else f"{value:.2f}" for value in values)])
    return f"{table.get_string()}\n{_definition(specification, int(true_counts.sum()))}"


def _definition(specification: DatasetSpecification, voxels: int) -> str:
    mask = "" if specification.scored_mask is None else f" or outside {specification.scored_mask}"
    absent = "counts as 0" if specification.absent_classes == "zero" else "is left out"
    return (
        f"{voxels:,} voxels are scored, none of value {specification.ignore_index}{mask}; mIoU: "
        f"mean of {len(specification.counted_classes)} classes without "
        f"{specification.class_names[specification.empty_class]}, where one without a true voxel "
        f"{absent}"
    )


def save_confusion_picture(
    path: str | Path, confusion: np.ndarray, class_names: Sequence[str]
) -> None:
    """Draws where the voxels of each true class went, to a file whose ending gives the format.

    ``confusion`` is (K, K) counts, rows predicted, columns true.
    """
    from matplotlib.figure import Figure

    by_truth = np.asarray(confusion, dtype=np.float64).T
    totals = by_truth.sum(axis=1, keepdims=True)
    percent = 100 * by_truth / np.maximum(totals, 1)
    size = len(class_names)
    figure = Figure(figsize=(2.5 + 0.5 * size, 2 + 0.42 * size), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    labels = [
        name if total else f"{name} (absent)"
        for name, total in zip(class_names, totals[:, 0], strict=True)
    ]
    axes.set_xticks(range(size), class_names, rotation=45, ha="right")
    axes.set_yticks(range(size), labels)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title("Voxels of each true class by predicted class, per cent (rows add up to 100)")
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="0.85", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    for row, column in zip(*np.nonzero(percent >= 0.5), strict=True):
        value = percent[row, column]
        colour = "white" if value > 55 else "black"
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color=colour)
    figure.colorbar(image, ax=axes, label="per cent of the true class", shrink=0.8)
    with atomic_write(path) as file:
        figure.savefig(file, dpi=120, format=Path(path).suffix.removeprefix(".") or "png")
