"""Scores a folder of .label predictions by the SemanticKITTI completion benchmark's rules."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from htcl.datasets.labels import CLASS_NAMES
from htcl.evaluation.prediction_files import find_frames, score_frame
from htcl.evaluation.report import (
    as_percentages,
    format_table,
    save_confusion_picture,
    scores_by_range,
)
from htcl.evaluation.ssc_confusion import near_box

SPLITS = {
    "train": ["00", "01", "02", "03", "04", "05", "06", "07", "09", "10"],
    "val": ["08"],
}
EXAMPLE = """\
layouts:
  GT_DIR    data set root (sequences/XX/voxels/*.label with *.invalid), or a plain folder of both
  PRED_DIR  root with sequences/XX/predictions/*.label, or a plain folder of *.label

example:
  python tools/evaluate_predictions.py data/kitti/dataset work_dirs/predictions \\
      --split val --json scores.json --confusion confusion.png
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("gt_dir", type=Path, metavar="GT_DIR", help="ground truth")
    parser.add_argument("pred_dir", type=Path, metavar="PRED_DIR", help="predictions")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--split", choices=SPLITS, default="val", help="sequences (default: val)")
    which.add_argument("--sequences", nargs="+", metavar="XX", help="sequences by number")
    parser.add_argument(
        "--ranges",
        type=float,
        nargs="*",
        default=[12.8, 25.6, 51.2],
        metavar="M",
        help="also score squares of these sides in front of the car (default: 12.8 25.6 51.2)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write scores and matrix here")
    parser.add_argument(
        "--confusion", type=Path, metavar="FILE.png", help="draw the confusion matrix here"
    )
    parser.add_argument(
        "--no-invalid", action="store_true", help="score invalid voxels too (not official)"
    )
    parser.add_argument(
        "--grid-size",
        type=int,
        nargs=3,
        default=[256, 256, 32],
        metavar=("X", "Y", "Z"),
        help="voxels along x, y, z (default: 256 256 32)",
    )
    parser.add_argument(
        "--voxel-size", type=float, default=0.2, metavar="M", help="metres (default: 0.2)"
    )
    parser.add_argument(
        "--voxel-origin",
        type=float,
        nargs=3,
        default=[0.0, -25.6, -2.0],
        metavar=("X", "Y", "Z"),
        help="corner of the grid in the lidar frame, metres (default: 0 -25.6 -2)",
    )
    args = parser.parse_args(argv)
    args.sequences = args.sequences or SPLITS[args.split]
    return args


def evaluate(args: argparse.Namespace) -> None:
    """Scores all frames, prints the table and writes the files that were asked for."""
    grid = tuple(args.grid_size)
    boxes = [near_box(grid, args.voxel_origin, args.voxel_size, reach) for reach in args.ranges]
    frames = find_frames(args.gt_dir, args.pred_dir, args.sequences, not args.no_invalid)
    total = sum(
        score_frame(frame, grid, boxes) for frame in tqdm(frames, desc="scoring", unit="frame")
    )
    scores = scores_by_range(np.asarray(total), args.ranges)
    print(f"frames: {len(frames)}; scores in per cent")
    print(format_table(scores, CLASS_NAMES, total[0].sum(axis=0)))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        report = {
            "frames": [frame.name for frame in frames],
            "class_names": list(CLASS_NAMES),
            "percent": as_percentages(scores, CLASS_NAMES),
            "confusion_rows_predicted": total[0].tolist(),
        }
        args.json.write_text(json.dumps(report, indent=2) + "\n")
        print(f"scores: {args.json}")
    if args.confusion:
        save_confusion_picture(args.confusion, total[0], CLASS_NAMES)
        print(f"confusion matrix: {args.confusion}")


def main() -> None:
    """Runs the command; a problem with the files ends it with one message and exit code 2."""
    args = parse_args()
    try:
        evaluate(args)
    except (FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
