"""Does history help, and does the right geometry matter? Trains variants of the mini network alike.

Every row is a mini config with overrides, trained with the same steps, data and schedule under
several seeds, and scored on the validation streets that no row trained on. The data are synthetic.
Runs are processes of their own, two at a time with one thread each by default. Finished runs are
kept and interrupted ones go on where they were: the same command continues the whole study.

Examples:
  python benchmarks/ablation.py --steps 600 --seeds 0 1 2
  python benchmarks/ablation.py --rows mono stereo released right --seeds 0 1 2 --jobs 2
  python benchmarks/ablation.py --report            # table and plot of what is finished
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import numpy as np
from environment import describe_environment
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = "projects/configs/occupancy/mini"
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


class Row(NamedTuple):
    """One variant.

    Attributes:
        title: Name in the table.
        config: Mini config, without folder and suffix.
        options: Overrides, as for ``--cfg-options``.
    """

    title: str
    config: str
    options: tuple[str, ...] = ()


def _history(frames: int) -> tuple[str, ...]:
    return (
        f"model.temporal.num_history={frames}",
        *(f"{loader}.dataset.num_history={frames}" for loader in LOADERS),
    )


AFFINITY = "model.temporal.affinity"
ROWS = {
    "mono": Row("one image", "htcl_mono"),
    "stereo": Row("stereo, no history", "stereoscene"),
    "released": Row("released geometry", "temporal_baseline"),
    "right": Row("right geometry", "htcl_egopose"),
    "correlation": Row(
        "right geometry, matching cost",
        "htcl_egopose",
        ("model.temporal.warped_feature=correlation",),
    ),
    "no_affinity": Row("without affinity weights", "htcl_egopose", (f"{AFFINITY}=None",)),
    "one_dilation": Row(
        "without scale isolation", "htcl_egopose", (f"{AFFINITY}.dilations=(1,1,1)",)
    ),
    "shared_learner": Row(
        "without multi-group contexts", "htcl_egopose", (f"{AFFINITY}.independent_learners=False",)
    ),
    "no_deformable": Row(
        "without deformable refinement",
        "htcl_egopose",
        ("model.temporal.refinement.deformable=False",),
    ),
    "history_1": Row("one history frame", "htcl_egopose", _history(1)),
    "history_2": Row("two history frames", "htcl_egopose", _history(2)),
}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/ablation"))
    parser.add_argument("--rows", nargs="+", choices=tuple(ROWS), default=tuple(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--steps", type=int, default=600, help="training steps (default: 600)")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (default: 2)")
    parser.add_argument("--threads", type=int, default=1, help="threads of a run (default: 1)")
    parser.add_argument("--report", action="store_true", help="run nothing, report what is there")
    return parser.parse_args(argv)


def run_one(name: str, seed: int, args: argparse.Namespace) -> str:
    """Trains and scores one row under one seed, unless its scores exist.

    Returns:
        What went wrong, empty if nothing.
    """
    row, folder = ROWS[name], run_folder(args, name, seed)
    if (folder / "scores.json").is_file():
        return ""
    config = f"{CONFIGS}/{row.config}.py"
    schedule = (
        f"train_cfg.max_iters={args.steps}",
        f"train_cfg.val_begin={args.steps + 1}",
        f"param_scheduler.1.end={args.steps}",
        "default_hooks.checkpoint.interval=100",
        "default_hooks.checkpoint.save_best=None",
    )
    train = ["tools/train.py", config, "--work-dir", str(folder), "--seed", str(seed), "--resume"]
    test = ["tools/test.py", config, str(folder / f"iter_{args.steps}.pth")]
    test += ["--work-dir", str(folder), "--json", str(folder / "scores.json")]
    steps = [[*train, "--cfg-options", *schedule, *row.options]]
    steps.append([*test, *(["--cfg-options", *row.options] if row.options else [])])
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    for step in steps:
        with (folder / "output.log").open("a") as log:
            done = subprocess.run(
                [sys.executable, *step],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
                check=False,
            )
        if done.returncode != 0:
            return f"{name}, seed {seed}: {step[0]} failed, see {folder / 'output.log'}"
    return ""


def run_folder(args: argparse.Namespace, name: str, seed: int) -> Path:
    """Where a run lives; runs of another length are others."""
    return args.work_dir.resolve() / f"{args.steps}_steps" / name / f"seed_{seed}"


def collect(args: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Reads the scores of all finished runs: row -> metric -> one value a seed."""
    scores: dict[str, dict[str, list[float]]] = {}
    for name in args.rows:
        files = [run_folder(args, name, seed) / "scores.json" for seed in args.seeds]
        found = [json.loads(file.read_text()) for file in files if file.is_file()]
        if found:
            scores[name] = {key: [run[key] for run in found] for key in ("IoU", "mIoU")}
    return scores


def table(scores: dict[str, dict[str, list[float]]]) -> str:
    """Markdown: mean and standard deviation over the seeds, in per cent."""
    lines = ["| variant | seeds | completion IoU | mIoU |", "| --- | --- | --- | --- |"]
    for name, metrics in scores.items():
        cells = [f"{np.mean(v):.2f} +- {_spread(v):.2f}" for v in metrics.values()]
        seeds = len(metrics["IoU"])
        lines.append(f"| {ROWS[name].title} | {seeds} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(scores: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Draws every run as a dot and the mean as a bar."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 0.5 * len(scores) + 1.5), sharey=True)
    titles = [ROWS[name].title for name in scores]
    for axis, metric in zip(axes, ("IoU", "mIoU"), strict=True):
        values = [scores[name][metric] for name in scores]
        axis.barh(titles, [np.mean(v) for v in values], color="#9db7d5")
        for row, runs in enumerate(values):
            axis.plot(runs, [row] * len(runs), "o", color="#1f3a5f", markersize=4)
        axis.set_xlabel(f"{metric}, % (synthetic mini data set)")
    axes[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _spread(values: list[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def main(argv: list[str] | None = None) -> int:
    """Runs what is missing and reports; returns the exit status."""
    args = parse_args(argv)
    print(describe_environment(), flush=True)
    problems: list[str] = []
    if not args.report:
        # Seeds in the outer loop: a study that is cut short has every row.
        runs = [(name, seed) for seed in args.seeds for name in args.rows]
        with ThreadPoolExecutor(args.jobs) as pool:
            futures = [pool.submit(run_one, name, seed, args) for name, seed in runs]
            for future in tqdm(as_completed(futures), total=len(runs), desc="runs", unit="run"):
                problems += [future.result()] if future.result() else []
    scores = collect(args)
    if scores:
        args.work_dir.mkdir(parents=True, exist_ok=True)
        (args.work_dir / "table.md").write_text(table(scores) + "\n")
        plot(scores, args.work_dir / "ablation.png")
        print(f"{args.steps} steps, synthetic mini data set, validation streets\n{table(scores)}")
        print(f"table and plot: {args.work_dir}")
    for problem in problems:
        print(f"ablation: {problem}", file=sys.stderr)
    return 1 if problems or not scores else 0


if __name__ == "__main__":
    sys.exit(main())
