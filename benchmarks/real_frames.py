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
import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from environment import describe_environment
from mmengine.config import Config

from htcl.datasets.labels import CLASS_NAMES
from htcl.engine.runner import build_runner, load_config

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "projects/configs/occupancy/mini/htcl_egopose.py"
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


def make_ground_truth(data: Path, target: Path) -> None:
    """Links the sequence's files below ``target`` and voxelises the two frames there."""
    from htcl.datasets.layout import KittiLayout

    layout = KittiLayout(data)
    folder = target / "sequences" / SEQUENCE
    folder.mkdir(parents=True, exist_ok=True)
    sources = {kind: layout.folder(SEQUENCE, kind) for kind in ("image_2", "image_3", "velodyne")}
    sources["labels"] = layout.folder(SEQUENCE, "point_labels")
    sources["calib.txt"] = layout.calibration(SEQUENCE)
    sources["poses.txt"] = layout.poses(SEQUENCE)
    for name, source in sources.items():
        link = folder / name
        if not link.exists():
            link.symlink_to(source.resolve())
    command = [sys.executable, "tools/data_converter/voxelize_scans.py"]
    command += ["--data-root", str(target), "--sequences", SEQUENCE, "--jobs", "1"]
    command += ["--frames", *map(str, FRAMES), "--future", str(SCANS - 1), "--past", str(SCANS - 1)]
    subprocess.run(command, cwd=ROOT, check=True)


def score(
    cfg: Config, checkpoint: Path, scale: str, grid: tuple[int, int, int]
) -> dict[str, float]:
    """Scores the two frames at one resolution of the labels.

    Args:
        cfg: Config of the training.
        checkpoint: What it made.
        scale: '1_1' (0.2 m, the benchmark's) or '1_2' (0.4 m).
        grid: Voxels at that scale.

    Returns:
        Completion IoU, the mean over the classes that occur, their number, and the IoU of each, in
        per cent.
    """
    cfg = copy.deepcopy(cfg)
    cfg.model.grid_size = grid
    cfg.custom_hooks = []
    for step in cfg.test_dataloader.dataset.pipeline:
        if step["type"] == "LoadVoxelLabels":
            step["scale"] = scale
    runner = build_runner(cfg, work_dir=cfg.work_dir, checkpoint=checkpoint)
    metrics = runner.test()
    labels = [
        sample["data_samples"].gt_voxels.semantics for sample in runner.test_dataloader.dataset
    ]
    present = np.unique(np.concatenate([label.numpy().ravel() for label in labels]))
    names = [CLASS_NAMES[index] for index in present if 0 < index < len(CLASS_NAMES)]
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
    cfg = load_config(args.config)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.update(data_root=str(data), sequences=(SEQUENCE,))
        loader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.batch_size = len(FRAMES)
    cfg.optim_wrapper.optimizer.update(lr=args.lr, weight_decay=0.0)
    cfg.train_cfg.update(max_iters=args.steps, val_interval=args.steps + 1)
    if args.amp:
        cfg.optim_wrapper.type = "BFloat16OptimWrapper"
    warmup = args.steps // 15
    cfg.param_scheduler[0].end = warmup
    cfg.param_scheduler[1].update(begin=warmup, end=args.steps)
    cfg.custom_hooks = [{"type": "ProgressBarHook"}]
    cfg.default_hooks.checkpoint.update(interval=args.steps, save_best=None)
    checkpoint = args.work_dir / f"iter_{args.steps}.pth"
    if not args.score_only:
        build_runner(cfg, work_dir=args.work_dir).train()
    cfg.work_dir = str(args.work_dir)
    result = {
        "steps": args.steps,
        "0.4 m": score(cfg, checkpoint, "1_2", (128, 128, 16)),
        "0.2 m": score(cfg, checkpoint, "1_1", (256, 256, 32)),
    }
    (args.work_dir / "scores.json").write_text(json.dumps(result, indent=2) + "\n")
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
