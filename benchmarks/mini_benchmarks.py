"""Does the mini network of each benchmark learn? Against predictors that look at no image.

For each benchmark: makes the synthetic streets in its layout if they are not there, trains its mini
config, scores it on streets that it has not seen, by the benchmark's rule, and beside it all empty
and the class prior (at each voxel what most training labels have there). The data are synthetic.

Finished trainings are kept and interrupted ones go on: the same command continues.

Examples:
  python benchmarks/mini_benchmarks.py
  python benchmarks/mini_benchmarks.py --only occ3d --steps 400 --jobs 1
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from environment import describe_environment
from logged_tool import run_logged, schedule_options
from trivial_predictors import labels_alone, score_all, table, trivial_guesses

from htcl.config import load_config
from htcl.datasets.specification import build_specification
from htcl.files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("IoU", "mIoU")


@dataclass(frozen=True)
class Benchmark:
    """A mini config and what makes its data."""

    config: str
    make_data: str
    data: str
    options: tuple[str, ...] = ()


_NUSCENES = ("tools/make_mini_nuscenes.py", "data/mini_nuscenes")
_KITTI360 = ("--layout", "kitti360", "--image-size", "140", "520")
BENCHMARKS = {
    "kitti360": Benchmark("kitti360.py", "tools/make_mini_kitti.py", "data/mini360", _KITTI360),
    "openoccupancy": Benchmark("openoccupancy.py", *_NUSCENES),
    "occ3d": Benchmark("occ3d.py", *_NUSCENES),
}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=tuple(BENCHMARKS), default=tuple(BENCHMARKS))
    parser.add_argument("--steps", type=int, default=300, help="of training (default: 300)")
    parser.add_argument("--batch-size", type=int, default=2, help="samples of a step (default: 2)")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time (default: 2)")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/mini_benchmarks"))
    parser.add_argument("--data", type=Path, help="folder of the streets, in place of data/...")
    parser.add_argument(
        "--cfg-options", nargs="+", default=(), metavar="KEY=VALUE", help="of the mini configs"
    )
    return parser.parse_args(argv)


def data_root(name: str, args: argparse.Namespace) -> Path:
    """Where a benchmark's streets are."""
    return args.data or ROOT / BENCHMARKS[name].data


def config_path(name: str) -> str:
    """A benchmark's mini config."""
    return f"projects/configs/occupancy/mini/{BENCHMARKS[name].config}"


def train(name: str, args: argparse.Namespace) -> dict[str, float]:
    """Trains and scores the mini network of one benchmark, as far as that is not done."""
    folder = args.work_dir / f"{name}_{args.steps}_steps_of_{args.batch_size}"
    scores, trained = folder / "scores.json", folder / f"iter_{args.steps}.pth"
    options = [f"data_root={data_root(name, args)}", *args.cfg_options]
    if not trained.is_file():
        schedule = [
            *schedule_options(args.steps, args.batch_size),
            f"default_hooks.checkpoint.interval={min(100, args.steps)}",
        ]
        command = ["tools/train.py", config_path(name), "--work-dir", str(folder), "--resume"]
        _run([*command, "--seed", "0", "--cfg-options", *schedule, *options], folder)
    if not scores.is_file():
        command = ["tools/test.py", config_path(name), str(trained), "--work-dir", str(folder)]
        _run([*command, "--json", str(scores), "--cfg-options", *options], folder)
    found: dict[str, float] = json.loads(scores.read_text())
    return found


def trivial_scores(name: str, args: argparse.Namespace) -> tuple[dict[str, Any], int, int]:
    """Scores of what looks at no image; the numbers of frames for training and for validation."""
    options = {"data_root": str(data_root(name, args))}
    cfg = load_config(config_path(name), options)
    specification = build_specification(cfg.specification)
    training, validation = labels_alone(cfg.train_dataloader), labels_alone(cfg.val_dataloader)
    guesses = trivial_guesses(training, specification)
    scores = score_all(guesses, validation, specification, ranges=())
    return scores, len(training), len(validation)


def _run(command: list[str], folder: Path) -> None:
    if problem := run_logged(command, folder):
        raise RuntimeError(problem)


def main(argv: list[str] | None = None) -> int:
    """Trains and scores all; returns the exit status."""
    args = parse_args(argv)
    for key in ("work_dir", "data"):
        if getattr(args, key):
            setattr(args, key, getattr(args, key).resolve())
    os.chdir(ROOT)
    torch.set_num_threads(1)
    print(describe_environment(), flush=True)
    for name in args.only:
        benchmark, root = BENCHMARKS[name], data_root(name, args)
        if not root.is_dir():
            _run([benchmark.make_data, "--out", str(root), *benchmark.options], args.work_dir)
    with ThreadPoolExecutor(args.jobs) as pool:
        futures = {name: pool.submit(train, name, args) for name in args.only}
        for name, future in futures.items():
            try:
                ours = future.result()
            except RuntimeError as error:
                print(f"mini_benchmarks: {name}: {error}", file=sys.stderr)
                return 1
            scores, training, validation = trivial_scores(name, args)
            scores["mini network"] = ours
            print(
                f"\n{name}: {args.steps} steps of {args.batch_size} on {training} synthetic "
                f"frames, scored on {validation} of other streets, per cent\n",
                table(scores, COLUMNS),
                sep="\n",
                flush=True,
            )
            with atomic_write(args.work_dir / f"{name}.json", "w") as file:
                file.write(json.dumps(scores, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
