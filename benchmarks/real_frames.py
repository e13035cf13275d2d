"""Fits the mini network to two real KITTI frames: can the graph learn real data at all?

Makes the ground truth of frames 000000 and 000005 of sequence 00 with the project's voxeliser from
ten labelled scans, trains the mini network on these two frames alone, and scores it on them. This
is a check of data, geometry and losses, not a benchmark result: nothing generalises. The scores
are given at the official 0.2 m and at 0.4 m.

Example:
  python benchmarks/real_frames.py --data /datasets/semantickitti --steps 300 --amp
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from environment import describe_environment

from htcl.config import load_config
from htcl.datasets.specification import build_specification
from htcl.engine.runner import build_runner
from htcl.files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "projects/configs/occupancy/mini/htcl_plus.py"
SEQUENCE, FRAMES, SCANS = "00", (0, 5), 10


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="SemanticKITTI root")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/real_frames"))
    parser.add_argument("--config", default=CONFIG, help="mini config (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=300, help="training steps (default: 300)")
    parser.add_argument("--score-only", action="store_true", help="score an earlier training")
    parser.add_argument("--amp", action="store_true", help="train in bfloat16")
    parser.add_argument("--lr", type=float, default=2e-3, help="learning rate (default: 2e-3)")
    return parser.parse_args(argv)


def make_ground_truth(
    data: Path, target: Path, sequence: str = SEQUENCE, frames: Sequence[int] = FRAMES
) -> None:
    """Links a sequence's files below ``target`` and voxelises frames there."""
    from htcl.datasets.layout import KittiLayout

    layout = KittiLayout(data)
    folder = target / "sequences" / sequence
    folder.mkdir(parents=True, exist_ok=True)
    sources = {kind: layout.folder(sequence, kind) for kind in ("image_2", "image_3", "velodyne")}
    sources["labels"] = layout.folder(sequence, "point_labels")
    sources["calib.txt"] = layout.calibration(sequence)
    sources["poses.txt"] = layout.poses(sequence)
    for name, source in sources.items():
        link = folder / name
        if not link.exists():
            link.symlink_to(source.resolve())
    command = [sys.executable, "tools/data_converter/voxelize_scans.py"]
    command += ["--data-root", str(target), "--sequences", sequence, "--jobs", "1"]
    command += ["--frames", *map(str, frames), "--future", str(SCANS - 1), "--past", str(SCANS - 1)]
    subprocess.run(command, cwd=ROOT, check=True)


def score(config: str, options: dict[str, Any], checkpoint: Path) -> dict[str, float]:
    """Scores the two frames.

    Args:
        config: Config of the training.
        options: Its overrides, with the specification of the labels.
        checkpoint: What it made.

    Returns:
        Completion IoU, the mean over the classes that occur, their number, and the IoU of each, in
        per cent.
    """
    cfg = load_config(config, options)
    cfg.custom_hooks = []
    runner = build_runner(cfg, checkpoint=checkpoint)
    metrics = runner.test()
    labels = [
        sample["data_samples"].gt_voxels.semantics for sample in runner.test_dataloader.dataset
    ]
    specification = build_specification(cfg.specification)
    present = np.unique(np.concatenate([label.numpy().ravel() for label in labels]))
    names = [specification.class_names[k] for k in specification.counted_classes if k in present]
    classes = {name: metrics[f"IoU_{name}"] for name in names}
    mean = float(np.mean(list(classes.values())))
    return {"IoU": metrics["IoU"], "mIoU_present": mean, "present": len(names), **classes}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Trains and scores; returns the scores on the two training frames, in per cent."""
    args = parse_args(argv)
    # Paths of the command line belong to the caller's folder, config paths to the repository.
    args.data, args.work_dir = args.data.resolve(), args.work_dir.resolve()
    os.chdir(ROOT)
    print(describe_environment())
    data = args.work_dir / "data"
    make_ground_truth(args.data, data)
    options = {
        "work_dir": str(args.work_dir),
        "data_root": str(data),
        "train_sequences": (SEQUENCE,),
        "val_sequences": (SEQUENCE,),
        "num_workers": 0,
        "batch_size": len(FRAMES),
        "optim_wrapper.optimizer.lr": args.lr,
        "optim_wrapper.optimizer.weight_decay": 0.0,
        "max_iters": args.steps,
        "train_cfg.val_interval": args.steps + 1,
        "param_scheduler.0.end": args.steps // 15,
        "param_scheduler.1.begin": args.steps // 15,
        "default_hooks.checkpoint.interval": args.steps,
        "default_hooks.checkpoint.save_best": None,
    }
    if args.amp:
        options["optim_wrapper.type"] = "BFloat16OptimWrapper"
    checkpoint = args.work_dir / f"iter_{args.steps}.pth"
    if not args.score_only:
        cfg = load_config(args.config, options)
        cfg.custom_hooks = [{"type": "ProgressBarHook"}]
        build_runner(cfg).train()
    result: dict[str, Any] = {"steps": args.steps}
    for size in (0.4, 0.2):
        grid = {"point_cloud_range": build_specification("SemanticKITTI").grid.range}
        labels = {"base": "SemanticKITTI", "grid": {**grid, "voxel_size": size}}
        changes = {**options, "specification": labels}
        result[f"{size} m"] = score(args.config, changes, checkpoint)
    with atomic_write(args.work_dir / "scores.json", "w") as file:
        file.write(json.dumps(result, indent=2) + "\n")
    print(f"after {args.steps} steps, on the two frames that it was trained on:")
    for size in ("0.4 m", "0.2 m"):
        scores = result[size]
        print(
            f"  voxels of {size}: completion IoU {scores['IoU']:.1f} %, mean IoU over the "
            f"{scores['present']} classes present {scores['mIoU_present']:.1f} %"
        )
    return result


if __name__ == "__main__":
    main()
