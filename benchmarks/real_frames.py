"""Fits the mini network to two real KITTI frames: can the graph learn real data at all?

Makes the ground truth of frames 000000 and 000005 of sequence 00 with the project's voxeliser from
ten labelled scans, trains the mini network on these two frames alone, and scores it on them. This
is a check of data, geometry and losses, not a benchmark result: nothing here generalises.

Example:
  python benchmarks/real_frames.py --data /datasets/semantickitti --steps 300
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

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


def present_classes(data: Path) -> np.ndarray:
    """Classes 1..19 that occur in the ground truth of the two frames."""
    from htcl.datasets.training_labels import make_training_label
    from htcl.datasets.voxel_files import read_voxel_labels, read_voxel_mask

    folder = data / "sequences" / SEQUENCE / "voxels"
    found = [
        np.unique(
            make_training_label(
                read_voxel_labels(folder / f"{frame:06d}.label"),
                read_voxel_mask(folder / f"{frame:06d}.invalid"),
                source=str(folder),
            )
        )
        for frame in FRAMES
    ]
    classes = np.unique(np.concatenate(found))
    return classes[(classes > 0) & (classes < 20)]


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Trains and scores; returns the scores on the two training frames, in per cent."""
    args = parse_args(argv)
    os.chdir(ROOT)
    from environment import describe_environment

    from htcl.datasets.labels import CLASS_NAMES
    from htcl.engine.runner import build_runner, load_config

    print(describe_environment())
    data = args.work_dir.resolve() / "data"
    make_ground_truth(args.data, data)
    cfg = load_config(args.config)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.update(data_root=str(data), sequences=(SEQUENCE,))
        loader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.batch_size = len(FRAMES)
    cfg.optim_wrapper.optimizer.update(lr=args.lr, weight_decay=0.0)
    cfg.train_cfg.update(max_iters=args.steps, val_interval=args.steps + 1)
    warmup = args.steps // 15
    cfg.param_scheduler[0].end = warmup
    cfg.param_scheduler[1].update(begin=warmup, end=args.steps)
    cfg.custom_hooks = [{"type": "ProgressBarHook"}]
    cfg.default_hooks.checkpoint.update(interval=args.steps, save_best=None)
    runner = build_runner(cfg, work_dir=args.work_dir)
    runner.train()
    metrics = runner.test()
    classes = present_classes(data)
    scores = {CLASS_NAMES[index]: metrics[f"IoU_{CLASS_NAMES[index]}"] for index in classes}
    result = {
        "IoU": metrics["IoU"],
        "mIoU_present": float(np.mean(list(scores.values()))),
        "present": len(scores),
        "steps": args.steps,
        **scores,
    }
    (args.work_dir / "scores.json").write_text(json.dumps(result, indent=2) + "\n")
    print(
        f"after {args.steps} steps on the two frames: completion IoU {result['IoU']:.1f} %, "
        f"mean IoU over the {len(scores)} classes present {result['mIoU_present']:.1f} %"
    )
    return result


if __name__ == "__main__":
    main()
