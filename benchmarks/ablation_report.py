"""Tables and the plot of benchmarks/ablation.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from ablation_rows import METRICS, ROWS

from htcl.evaluation.paired import FrameScores, compare_frames

# Scores of each frame of a run.
FRAMES = "frames.npz"
# Regions of the paired comparison.
PAIRED = ("full", "in_view", "out_of_view", "12.8m")


def table(scores: dict[str, dict[str, list[float]]]) -> str:
    """Markdown: mean and standard deviation over the seeds."""
    lines = [f"| variant | seeds | {' | '.join(METRICS.values())} |"]
    lines += ["| --- | --- |" + " --- |" * len(METRICS)]
    for name, metrics in scores.items():
        cells = [f"{np.mean(v):.2f}{_spread(v)}" for v in metrics.values()]
        seeds = len(metrics["IoU"])
        lines.append(f"| {ROWS[name].title} | {seeds} | {' | '.join(cells)} |")
    return "\n".join(lines)


def paired_table(folder: Path, rows: Sequence[str], against: str, seeds: Sequence[int]) -> str:
    """Markdown: differences of all rows from one of them, same frames, seeds together."""
    by_row = {name: _frames_of(folder / name, seeds) for name in rows}
    reference = by_row.pop(against, None) or _frames_of(folder / against, seeds)
    header = [f"{region} {score}" for region in PAIRED for score in ("IoU", "mIoU")]
    lines = [f"| against {ROWS[against].title} | seeds | {' | '.join(header)} |"]
    lines += ["| --- | --- |" + " --- |" * len(header)]
    for name, by_seed in by_row.items():
        common = [seed for seed in by_seed if seed in reference]
        if not common:
            continue
        pair = [_together([found[seed] for seed in common]) for found in (reference, by_seed)]
        compared = compare_frames(*pair)
        cells = [
            f"{score.second - score.first:+.2f} ({score.low:+.2f} to {score.high:+.2f})"
            for region in PAIRED
            for score in compared[region].values()
        ]
        lines.append(f"| {ROWS[name].title} | {len(common)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _frames_of(row: Path, seeds: Sequence[int]) -> dict[int, FrameScores]:
    paths = {seed: row / f"seed_{seed}" / FRAMES for seed in seeds}
    return {seed: FrameScores.read(path) for seed, path in paths.items() if path.is_file()}


def _together(runs: list[FrameScores]) -> FrameScores:
    """The frames of several runs, each with the sum of its matrices."""
    return replace(runs[0], confusions=np.sum([run.confusions for run in runs], axis=0))


def plot(scores: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Draws every run as a dot and the mean as a bar."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = 3
    lines = -(-len(METRICS) // columns)
    figure, grid = pyplot.subplots(
        lines, columns, figsize=(13, lines * (0.26 * len(scores) + 0.9)), sharey=True
    )
    titles = [ROWS[name].title for name in scores]
    panels = grid.flatten()
    for axis in panels[len(METRICS) :]:
        axis.set_visible(False)
    for axis, (metric, words) in zip(panels, METRICS.items(), strict=False):
        values = [scores[name][metric] for name in scores]
        axis.barh(titles, [np.mean(v) for v in values], color="#9db7d5")
        for row, runs in enumerate(values):
            axis.plot(runs, [row] * len(runs), "o", color="#1f3a5f", markersize=4)
        runs = [value for row in values for value in row]
        # From near the lowest run on: the differences are small beside the values.
        span = max(runs) - min(runs) or 0.1
        axis.set_xlim(max(0.0, min(runs) - 0.5 * span), max(runs) + 0.1 * span)
        axis.set_xlabel(f"{words} (synthetic)")
    panels[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _spread(values: list[float]) -> str:
    return f" +- {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
