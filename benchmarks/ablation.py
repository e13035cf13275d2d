"""Does history help, and does the right geometry matter? Trains variants of the mini network alike.

The study has two stages. The networks of one image and of stereo without history are trained from
ImageNet weights of the image backbone, once. From them every row trains on under several seeds,
with the same steps, data and schedule; rows with history start with an untrained temporal branch.
So rows with history differ in nothing but what their names say, and no time goes into learning the
same images again. Data and class weights are those of `make train-mini`. Rows on the history as
points (points...), and `plus` to compare them with, all start from the shipped checkpoint instead.
All are scored on the validation streets, which nothing trained on: the scene, as a whole, in view
and out of view, and the depth distribution that lifts the image features, against lidar
(benchmarks/depth_error.py). The data are synthetic.

Runs are processes of their own, two at a time with one thread each by default.
Finished runs are kept and interrupted ones go on where they were: the same command continues the
whole study.

Examples:
  python tools/make_mini_kitti.py --out data/streets --streets 66 --lean --label-every 3
  python benchmarks/ablation.py --amp --rows mono stereo released right --against right
  python benchmarks/ablation.py --amp --seeds 0           # every row once
  python benchmarks/ablation.py --amp --report            # table and plot of what is finished
  python benchmarks/ablation.py --rows plus points points_trust --batch-size 4 --steps 0 60 \
      --lr 1e-3 --data data/streets --train-sequences 00 01 --val-sequences 08 09
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any

from ablation_report import FRAMES, Scores, paired_table, plot, seed_table, table
from ablation_rows import CONFIG, FIRST_STAGE, ROWS, SHIPPED, Row
from environment import describe_environment
from logged_tool import run_logged, schedule_options
from mmengine.config import Config
from tqdm import tqdm

from htcl.config import load_config
from htcl.files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
SHIPPED_CHECKPOINT = ROOT / "pretrain" / "mini_htcl.pth"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/ablation"))
    parser.add_argument("--rows", nargs="+", choices=tuple(ROWS), default=tuple(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument(
        "--steps",
        nargs=2,
        type=int,
        default=(600, 150),
        metavar="N",
        help="steps of the two stages; no second one scores the start (default: 600 150)",
    )
    parser.add_argument("--batch-size", type=int, default=4, help="samples of a step (default: 4)")
    parser.add_argument("--data", help="root of the streets (default: as make train-mini)")
    words = "streets (default: as make train-mini)"
    parser.add_argument("--train-sequences", nargs="+", default=(), help=words)
    parser.add_argument("--val-sequences", nargs="+", default=(), help=words)
    parser.add_argument("--lr", type=float, help="learning rate (default: the config's)")
    parser.add_argument("--amp", action="store_true", help="train in bfloat16, for CPUs with AMX")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (default: 2)")
    parser.add_argument("--threads", type=int, default=1, help="threads of a run (default: 1)")
    parser.add_argument(
        "--against",
        choices=tuple(ROWS),
        help="also compare all rows with this one, seed by seed (mean and standard deviation) and "
        "frame by frame (95 %% intervals)",
    )
    parser.add_argument("--report", action="store_true", help="run nothing, report what is there")
    return parser.parse_args(argv)


def run_start(name: str, args: argparse.Namespace) -> str:
    """Trains a row's network in the first stage, unless it is there.

    Returns:
        What went wrong, empty if nothing.
    """
    if final_checkpoint(args, name).is_file():
        return ""
    return _train(1, name, ROWS[name], 0, args)


def run_one(name: str, seed: int, args: argparse.Namespace) -> str:
    """Trains and scores one row under one seed, unless its scores exist.

    Returns:
        What went wrong, empty if nothing.
    """
    row, folder = ROWS[name], stage_folder(args, 2) / name / f"seed_{seed}"
    start = SHIPPED_CHECKPOINT if row.start == SHIPPED else final_checkpoint(args, row.start)
    if args.steps[1] > 0:
        trained = folder / f"iter_{args.steps[1]}.pth"
        if not trained.is_file():
            problem = _train(2, f"{name}/seed_{seed}", row, seed, args, start)
            if problem:
                return problem
        start = trained
    what = [row.config, str(start)]
    options = [*_streets(args), *row.options]
    options = ["--cfg-options", *options] if options else []
    test = ["tools/test.py", *what, "--work-dir", str(folder)]
    test += ["--json", str(folder / "scores.json"), "--frames", str(folder / FRAMES)]
    depth = ["benchmarks/depth_error.py", *what, "--json", str(folder / "depth.json")]
    for file, command in ((FRAMES, test), ("depth.json", depth)):
        if not (folder / file).is_file():
            problem = run_logged([*command, *options], folder, args.threads)
            if problem:
                return problem
    return ""


def _train(
    stage: int,
    name: str,
    row: Row,
    seed: int,
    args: argparse.Namespace,
    start: Path | None = None,
) -> str:
    """Trains a network, or goes on where its training stopped."""
    steps, folder = args.steps[stage - 1], stage_folder(args, stage) / name
    schedule = (
        *schedule_options(steps, args.batch_size),
        *([f"optim_wrapper.optimizer.lr={args.lr}"] if args.lr else []),
        f"default_hooks.checkpoint.interval={max(1, 100 // args.batch_size)}",
        "default_hooks.checkpoint.save_best=None",
    )
    train = ["tools/train.py", row.config, "--work-dir", str(folder)]
    train += ["--seed", str(seed), "--resume", *(["--amp"] if args.amp else [])]
    train += [] if start is None else ["--load-from", str(start)]
    train += ["--cfg-options", *schedule, *_streets(args), *row.options]
    train += FIRST_STAGE if stage == 1 else _class_weights()
    return run_logged(train, folder, args.threads)


@cache
def _streets_config() -> Config:
    return load_config(ROOT / CONFIG)


def _class_weights() -> list[str]:
    """Options that weigh the classes alike in all rows of the second stage."""
    return [f"class_weights={','.join(map(str, _streets_config().class_weights))}"]


def _streets(args: argparse.Namespace) -> list[str]:
    """Options that choose the data: the same for all rows, whatever their configs say."""
    cfg = _streets_config()
    options = [f"data_root={args.data or cfg.data_root}"]
    for split in ("train_sequences", "val_sequences"):
        options.append(f"{split}={','.join(getattr(args, split) or cfg[split])}")
    return options


def stage_folder(args: argparse.Namespace, stage: int) -> Path:
    """Where the runs of a stage live; its name has all numbers of steps up to it."""
    steps = "_".join(str(n) for n in args.steps[:stage])
    batch = f"_of_{args.batch_size}" if args.batch_size > 1 else ""
    return args.work_dir.resolve() / f"stage_{stage}_{steps}_steps{batch}"


def final_checkpoint(args: argparse.Namespace, name: str) -> Path:
    """What the first stage leaves of a row."""
    return stage_folder(args, 1) / name / f"iter_{args.steps[0]}.pth"


def collect(args: argparse.Namespace, rows: Sequence[str]) -> Scores:
    """Reads the scores of all finished runs."""
    scores: Scores = {}
    for name in rows:
        folders = {seed: stage_folder(args, 2) / name / f"seed_{seed}" for seed in args.seeds}
        found = {
            seed: _read_scores(folder)
            for seed, folder in folders.items()
            if (folder / "depth.json").is_file()
        }
        if found:
            scores[name] = found
    return scores


def _read_scores(folder: Path) -> dict[str, float]:
    scores = json.loads((folder / "scores.json").read_text())
    return {**scores, "depth": json.loads((folder / "depth.json").read_text())["fused"]}


def _other_settings(args: argparse.Namespace) -> str:
    """What differs from the settings of the runs that are there, empty if nothing.

    The names of folders have steps and batch size, everything else would be mixed up in silence.
    """
    names = ("data", "train_sequences", "val_sequences", "lr", "amp")
    ours = json.loads(json.dumps({name: getattr(args, name) for name in names}))
    path = stage_folder(args, 2) / "settings.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, "w") as file:
            json.dump(ours, file)
    theirs = json.loads(path.read_text())
    if ours == theirs:
        return ""
    return f"{path} has the settings {theirs}, found {ours}: give the same, or another --work-dir"


def _run_all(
    title: str,
    function: Callable[..., str],
    calls: list[tuple[Any, ...]],
    args: argparse.Namespace,
) -> list[str]:
    """Calls a function that starts a process, several at a time; returns the problems."""
    with ThreadPoolExecutor(args.jobs) as pool:
        futures = [pool.submit(function, *call) for call in calls]
        done = tqdm(as_completed(futures), total=len(futures), desc=title, unit="run")
        return [future.result() for future in done if future.result()]


def main(argv: list[str] | None = None) -> int:
    """Runs what is missing and reports; returns the exit status."""
    args = parse_args(argv)
    print(describe_environment(), flush=True)
    if wrong := _other_settings(args):
        print(f"ablation: {wrong}", file=sys.stderr)
        return 1
    problems: list[str] = []
    if not args.report:
        starts = sorted({ROWS[name].start for name in args.rows} - {SHIPPED})
        problems = _run_all("first stage", run_start, [(start, args) for start in starts], args)
    if not (args.report or problems):
        # Seeds in the outer loop: a study that is cut short has every row.
        runs = [(name, seed, args) for seed in args.seeds for name in args.rows]
        problems = _run_all("rows", run_one, runs, args)
    scores = collect(args, args.rows)
    if scores:
        text = table(scores)
        if args.against:
            by_seed = collect(args, [args.against]).get(args.against, {})
            text += f"\n\n{seed_table(scores, args.against, by_seed)}"
            by_frame = paired_table(stage_folder(args, 2), args.rows, args.against, args.seeds)
            text += f"\n\n{by_frame}"
        with atomic_write(args.work_dir / "table.md", "w") as file:
            file.write(text + "\n")
        plot(scores, args.work_dir / "ablation.png")
        print(
            f"{' + '.join(map(str, args.steps))} steps of batch {args.batch_size}, synthetic mini "
            f"data set, validation streets\n{text}"
        )
        print(f"table and plot: {args.work_dir}")
    for problem in problems:
        print(f"ablation: {problem}", file=sys.stderr)
    return 1 if problems or not scores else 0


if __name__ == "__main__":
    sys.exit(main())
