"""Tables and the plot of benchmarks/ablation.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from ablation_rows import DEPTH, METRICS, REGIONS, ROWS

from htcl.evaluation.paired import FrameScores, compare_frames

# Scores of each frame of a run.
FRAMES = "frames.npz"
# Regions of the paired comparison.
PAIRED = {
    key.removesuffix("/") or "full": words for key, words in REGIONS.items() if key != "25.6m/"
}

# What METRICS names, of a row by seed, and of all rows.
Runs = dict[int, dict[str, float]]
Scores = dict[str, Runs]


def table(scores: Scores) -> str:
    """Markdown: mean and standard deviation over the seeds."""
    lines = _head("variant", [*REGIONS.values(), DEPTH])
    for name, runs in scores.items():
        lines.append(_line(name, {key: [run[key] for run in runs.values()] for key in METRICS}))
    return "\n".join(lines)


def seed_table(scores: Scores, against: str, theirs: Runs) -> str:
    """Markdown: differences of all rows from one of them, seed by seed.

    What a seed does to all rows alike, such as the order of the samples, is in no difference; the
    spread of the differences is the chance of the trainings.
    """
    lines = _head(f"against {ROWS[against].title}, seed by seed", [*REGIONS.values(), DEPTH])
    for name, ours in scores.items():
        common = [seed for seed in ours if seed in theirs]
        if name != against and common:
            values = {
                key: [ours[seed][key] - theirs[seed][key] for seed in common] for key in METRICS
            }
            lines.append(_line(name, values, "+"))
    return "\n".join(lines)


def _head(title: str, columns: Sequence[str]) -> list[str]:
    return [f"| {title} | seeds | {' | '.join(columns)} |", "|" + " --- |" * (len(columns) + 2)]


def _line(name: str, values: dict[str, list[float]], sign: str = "") -> str:
    """A row: IoU / mIoU of each region, then the depth."""
    cell = {key: f"{np.mean(v):{sign}.2f}{_spread(v)}" for key, v in values.items()}
    cells = [f"{cell[f'{region}IoU']} / {cell[f'{region}mIoU']}" for region in REGIONS]
    head = f"| {ROWS[name].title} | {len(values['IoU'])} | "
    return f"{head}{' | '.join([*cells, cell['depth']])} |"


def paired_table(folder: Path, rows: Sequence[str], against: str, seeds: Sequence[int]) -> str:
    """Markdown: differences of all rows from one of them, same frames, seeds together."""
    by_row = {name: _frames_of(folder / name, seeds) for name in rows}
    reference = by_row.pop(against, None) or _frames_of(folder / against, seeds)
    header = [f"{words}, {score}" for words in PAIRED.values() for score in ("IoU", "mIoU")]
    lines = _head(f"against {ROWS[against].title}, frame by frame", header)
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


def plot(scores: Scores, path: Path) -> None:
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
        values = [[run[metric] for run in runs.values()] for runs in scores.values()]
        axis.barh(titles, [np.mean(v) for v in values], color="#9db7d5")
        for row, dots in enumerate(values):
            axis.plot(dots, [row] * len(dots), "o", color="#1f3a5f", markersize=4)
        low, high = min(map(min, values)), max(map(max, values))
        # From near the lowest run on: the differences are small beside the values.
        span = high - low or 0.1
        axis.set_xlim(max(0.0, low - 0.5 * span), high + 0.1 * span)
        axis.set_xlabel(f"{words} (synthetic)")
    panels[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _spread(values: list[float]) -> str:
    return f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
