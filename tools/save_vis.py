"""Predicts a split and saves images, prediction, ground truth, calibration and poses of each frame.

The results lie in OUT/SEQUENCE/FRAME.npz; docs/visualization.md lists their entries. Pictures are
made from them by tools/visualization.py, which finds the results written last by itself.

Examples:
  python tools/save_vis.py CONFIG CKPT
  python tools/save_vis.py CONFIG CKPT --eval mAP          # the release's call; --eval is ignored
  python tools/save_vis.py CONFIG CKPT --out results --max-frames 20
  python tools/save_vis.py CONFIG CKPT --split test --cfg-options test_dataloader.num_workers=0
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import DictAction

if TYPE_CHECKING:
    from mmengine.runner import Runner


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file")
    parser.add_argument("checkpoint", help="checkpoint, ours or a released one")
    parser.add_argument("--eval", help="accepted for the release's commands and ignored")
    parser.add_argument(
        "--out", metavar="DIR", help="result folder (default: outputs/vis/<config>/<time>)"
    )
    parser.add_argument(
        "--split",
        choices=("train", "val", "test"),
        help="split to predict (default: that of the config's test_dataloader)",
    )
    parser.add_argument("--max-frames", type=int, metavar="N", help="stop after N frames")
    parser.add_argument("--work-dir", help="logs (default: work_dirs/<folder>/<config>)")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="overrides of config keys, e.g. test_dataloader.num_workers=0",
    )
    args = parser.parse_args(argv)
    if args.max_frames is not None and args.max_frames < 1:
        parser.error(f"--max-frames must be at least 1, got {args.max_frames}")
    return args


def prepare_runner(args: argparse.Namespace) -> Runner:
    """Builds the runner whose test_dataloader gives the frames of the chosen split."""
    from htcl.engine.runner import build_runner, load_config

    cfg = load_config(args.config, args.cfg_options)
    if args.split == "train":
        # The pipeline of validation: pictures show what the network predicts, not augmentation.
        trained = cfg.train_dataloader.dataset
        cfg.test_dataloader = cfg.val_dataloader.copy()
        cfg.test_dataloader.dataset.split = "train"
        cfg.test_dataloader.dataset.sequences = trained.get("sequences")
    elif args.split:
        # The hidden test sequences have a loader of their own: they have no labels.
        key = "val_dataloader" if args.split == "val" else "submission_dataloader"
        if key not in cfg:
            raise ValueError(f"{args.config} has no {key}, which --split {args.split} predicts")
        cfg.test_dataloader = cfg[key]
    return build_runner(cfg, work_dir=args.work_dir, checkpoint=args.checkpoint)


def save_results(model: Any, loader: Any, out: Path, max_frames: int | None = None) -> int:
    """Predicts the frames of a loader and writes their result files; returns their number."""
    import torch
    from tqdm import tqdm

    from htcl.visualization.result_file import build_frame_result
    from htcl.visualization.result_folder import result_path

    limit = len(loader.dataset) if max_frames is None else min(max_frames, len(loader.dataset))
    saved = 0
    model.eval()
    with torch.inference_mode(), tqdm(total=limit, desc="frames", unit="frame") as bar:
        for batch in loader:
            for i, sample in enumerate(model.test_step(batch)):
                if saved == limit:
                    return saved
                inputs = {key: values[i] for key, values in batch["inputs"].items()}
                result = build_frame_result(inputs, sample)
                result.save(result_path(out, result.sequence, result.frame))
                saved += 1
                bar.update()
            if saved == limit:
                break
    return saved


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    from htcl.visualization.result_folder import mark_latest

    out = Path(args.out or f"outputs/vis/{Path(args.config).stem}/{time.strftime('%Y%m%d_%H%M%S')}")
    try:
        runner = prepare_runner(args)
        saved = save_results(runner.model, runner.test_dataloader, out, args.max_frames)
    except (FileNotFoundError, KeyError, ValueError, RuntimeError) as error:
        print(f"save_vis: {error}", file=sys.stderr)
        return 1
    mark_latest(out)
    print(f"{saved} result files in {out}\nnext: python tools/visualization.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
