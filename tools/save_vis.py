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

from htcl.command_line import add_cfg_options, add_precision, count, run_tool, tool_parser

if TYPE_CHECKING:
    from mmengine.runner import Runner


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
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
    parser.add_argument("--max-frames", type=count, metavar="N", help="stop after N frames")
    parser.add_argument("--work-dir", help="logs (default: work_dirs/<folder>/<config>)")
    add_precision(parser)
    add_cfg_options(parser, "test_dataloader.num_workers=0")
    return parser.parse_args(argv)


def prepare_runner(args: argparse.Namespace) -> Runner:
    """Builds the runner whose test_dataloader gives the frames of the chosen split."""
    from htcl.config import load_config
    from htcl.engine.runner import build_runner
    from htcl.errors import InvalidValueError

    cfg = load_config(args.config, args.cfg_options)
    if args.split == "train":
        # As in validation: pictures show what the network predicts, not augmentation.
        trained = cfg.train_dataloader.dataset
        cfg.test_dataloader = cfg.val_dataloader.copy()
        cfg.test_dataloader.dataset.split = "train"
        cfg.test_dataloader.dataset.sequences = trained.get("sequences")
    elif args.split:
        # The hidden test sequences have a loader of their own: they have no labels.
        key = "val_dataloader" if args.split == "val" else "submission_dataloader"
        if key not in cfg:
            raise InvalidValueError(
                f"{args.config} has no {key}, which --split {args.split} predicts"
            )
        cfg.test_dataloader = cfg[key]
    return build_runner(
        cfg, work_dir=args.work_dir, checkpoint=args.checkpoint, precision=args.precision
    )


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


def run(args: argparse.Namespace) -> None:
    """Predicts and saves."""
    from htcl.engine.runner import config_errors
    from htcl.visualization.result_folder import mark_latest

    out = Path(args.out or f"outputs/vis/{Path(args.config).stem}/{time.strftime('%Y%m%d_%H%M%S')}")
    runner = prepare_runner(args)
    with config_errors(runner.cfg):
        # The property builds the data set, which looks for its files.
        loader = runner.test_dataloader
    saved = save_results(runner.model, loader, out, args.max_frames)
    mark_latest(out)
    print(f"{saved} result files in {out}\nnext: python tools/visualization.py")


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns the exit status."""
    return run_tool("save_vis", run, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
