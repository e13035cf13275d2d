"""Looks whether memory grows in a long training and in a long stream of predictions.

A tiny network (stereo, history, every part of the full-size one) trains, and predicts a stream of
frames. Each runs in a process of its own, whose resident memory is noted every few steps. Growth
is the median of the last tenth less that of the second tenth: the first one fills caches.

Examples:
  python benchmarks/long_run.py --steps 100 --frames 100
  python benchmarks/long_run.py --page docs/reliability.md --plot docs/images/long_run.png
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import torch
from bench_meters import held_bytes
from environment import describe_environment
from mmengine.hooks import Hook
from page_section import write_section
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
NETWORK = ROOT / "tests" / "data" / "tiny_htcl.py"
_MIB = 2**20
# A point every so many steps or frames.
_EVERY = 5
_KINDS = {"train": "training steps", "stream": "streamed predictions"}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=2000, help="of training (default: 2000)")
    parser.add_argument("--frames", type=int, default=5000, help="of the stream (default: 5000)")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/long_run"))
    parser.add_argument("--page", type=Path, help="write the table into this page's section")
    parser.add_argument("--plot", type=Path, help="draw memory over time")
    parser.add_argument("--only", choices=tuple(_KINDS), help=argparse.SUPPRESS)
    return parser.parse_args(argv)


class MemoryHook(Hook):
    """Notes the resident memory of a training."""

    def __init__(self, points: Path) -> None:
        self.points = points

    def after_train_iter(self, runner: Any, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        """Notes one point every few steps."""
        _note(self.points, runner.iter + 1)


def train(steps: int, folder: Path) -> None:
    """Trains the tiny network in this process."""
    from htcl.config import load_config
    from htcl.engine.runner import build_runner

    options = {"train_cfg.max_iters": steps, "train_cfg.val_begin": steps + 1, "num_workers": 1}
    hooks = {"logger": {"interval": 50}, "checkpoint": {"interval": 500, "max_keep_ckpts": 1}}
    cfg = load_config(NETWORK, {**options, "default_hooks": hooks})
    runner = build_runner(cfg, work_dir=folder / "train")
    runner.register_hook(MemoryHook(folder / "train.jsonl"))
    runner.train()


def stream(frames: int, folder: Path) -> None:
    """Predicts a stream of frames in this process: the same images again and again."""
    from htcl.apis import HTCLInferencer
    from htcl.config import load_config

    cfg = load_config(NETWORK, None)
    inferencer = HTCLInferencer(cfg, device="cpu", show_progress=False)
    root = Path(cfg.test_dataloader.dataset.data_root) / "sequences" / "08"
    live = inferencer.stream(root / "calib.txt", static=True)
    torch.set_num_threads(1)
    pairs = cycle(_pairs(root))
    for number in tqdm(range(1, frames + 1), desc="stream", unit="frame", mininterval=30):
        live.step(*next(pairs))
        _note(folder / "stream.jsonl", number)


def _pairs(root: Path) -> list[tuple[Any, Any]]:
    from htcl.datasets.image_files import read_image

    names = sorted(path.name for path in (root / "image_2").iterdir())
    return [tuple(read_image(root / side / n) for side in ("image_2", "image_3")) for n in names]


def _note(points: Path, number: int) -> None:
    if number % _EVERY == 0:
        with points.open("a") as file:
            file.write(json.dumps([number, held_bytes(torch.device("cpu"))]) + "\n")


def growth(points: list[tuple[int, int]]) -> float:
    """Bytes by which the last tenth of the points lies above the second one."""
    tenth = max(len(points) // 10, 1)
    held = [value for _, value in points]
    return median(held[-tenth:]) - median(held[tenth : 2 * tenth])


def table(measured: dict[str, list[tuple[int, int]]]) -> str:
    """Markdown table of the growth."""
    lines = ["| of a tiny network | number | resident memory at the end | growth |"]
    lines.append("| --- | --- | --- | --- |")
    for kind, points in measured.items():
        number, last = points[-1]
        lines.append(
            f"| {_KINDS[kind]} | {number:,} | {last / _MIB:,.0f} MiB | "
            f"{growth(points) / _MIB:+.1f} MiB |"
        )
    return "\n".join(lines) + "\n"


def plot(measured: dict[str, list[tuple[int, int]]], path: Path) -> None:
    """Draws memory over the number of steps or frames."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(measured), figsize=(9, 3), layout="constrained")
    for panel, (kind, points) in zip(panels, measured.items(), strict=True):
        numbers, held = zip(*points, strict=True)
        panel.plot(numbers, [value / _MIB for value in held])
        panel.set_ylim(0, 1.1 * max(held) / _MIB)
        panel.set_xlabel(_KINDS[kind])
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("resident memory, MiB")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _measured(args: argparse.Namespace) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    args.work_dir.mkdir(parents=True, exist_ok=True)
    for kind, number in (("train", args.steps), ("stream", args.frames)):
        points = args.work_dir / f"{kind}.jsonl"
        points.unlink(missing_ok=True)
        words = ["--only", kind, "--work-dir", str(args.work_dir)]
        words += ["--steps", str(number), "--frames", str(number)]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, __file__, *words], env=env, check=True)
        yield kind, [tuple(json.loads(line)) for line in points.read_text().splitlines()]


def main(argv: list[str] | None = None) -> int:
    """Runs both; returns the exit status."""
    args = parse_args(argv)
    if args.only == "train":
        train(args.steps, args.work_dir)
        return 0
    if args.only == "stream":
        stream(args.frames, args.work_dir)
        return 0
    measured = dict(_measured(args))
    command = f"python benchmarks/long_run.py --steps {args.steps} --frames {args.frames}"
    text = f"{table(measured)}\n`{command}`: {describe_environment()}.\n"
    print(text)
    if args.plot:
        plot(measured, args.plot)
    if args.page:
        write_section(args.page, "long run", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
