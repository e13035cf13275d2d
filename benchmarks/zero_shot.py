r"""Scores a checkpoint of synthetic streets on real frames, beside three that know nothing.

Ground truth comes from the labelled scans that are there, by the project's voxeliser, so the scores
compare the rows with each other and with nothing else. The trivial predictors:

* all empty,
* a road plane: one layer of road, at the height of the wheels of KITTI's car,
* the class prior: at each voxel what most labels of the training streets have there.

Examples:
  python benchmarks/zero_shot.py --data /datasets/semantickitti --streets data/mini
  python benchmarks/zero_shot.py --data /datasets/semantickitti --frames 08:0,5 \
      --config CONFIG --checkpoint CKPT
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from environment import describe_environment
from real_frames import make_ground_truth
from trivial_predictors import COLUMNS, labels_alone, score_all, table, trivial_guesses

from htcl.config import load_config
from htcl.datasets.specification import build_specification
from htcl.engine.runner import build_runner
from htcl.files import atomic_write

ROOT = Path(__file__).resolve().parents[1]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="SemanticKITTI root")
    parser.add_argument("--streets", type=Path, help="of the prior (default: the config's data)")
    parser.add_argument(
        "--frames",
        nargs="+",
        default=("00:0,5", "08:0"),
        metavar="XX:N,N",
        help="sequence and frames (default: 00:0,5 08:0)",
    )
    parser.add_argument("--config", default="projects/configs/occupancy/mini/htcl_plus.py")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "pretrain" / "mini_htcl.pth")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/zero_shot"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the scores here")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Scores all; returns the exit status."""
    args = parse_args(argv)
    for name in ("data", "work_dir", "checkpoint"):
        setattr(args, name, getattr(args, name).resolve())
    if args.streets:
        args.streets = args.streets.resolve()
    os.chdir(ROOT)
    sequences = []
    for words in args.frames:
        sequence, _, numbers = words.partition(":")
        make_ground_truth(
            args.data, args.work_dir / "data", sequence, tuple(map(int, numbers.split(",")))
        )
        sequences.append(sequence)
    streets = load_config(args.config, {"data_root": str(args.streets)} if args.streets else {})
    options = {"data_root": str(args.work_dir / "data"), "val_sequences": tuple(sequences)}
    cfg = load_config(args.config, {**options, "num_workers": 0})
    cfg.custom_hooks = []
    runner = build_runner(cfg, work_dir=args.work_dir / "run", checkpoint=args.checkpoint)
    scores = {"checkpoint": runner.test()}
    specification = build_specification(cfg.specification)
    dataset = runner.test_dataloader.dataset
    training = labels_alone(streets.train_dataloader)
    scores |= score_all(trivial_guesses(training, specification), dataset, specification)
    print(
        f"{len(dataset)} real frames, per cent; the class prior is that of {len(training)} "
        f"synthetic frames; {describe_environment()}\n{table(scores, COLUMNS)}"
    )
    if args.json:
        with atomic_write(args.json, "w") as file:
            file.write(json.dumps(scores, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
