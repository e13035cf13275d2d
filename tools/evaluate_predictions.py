"""Scores a folder of .label predictions by the rules of SemanticKITTI or SSCBench-KITTI-360."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from htcl.command_line import positive, run_tool, tool_parser

if TYPE_CHECKING:
    from torch import Tensor

    from htcl.geometry import VoxelGrid

EXAMPLE = """\
layouts:
  GT_DIR    data set root (sequences/XX/voxels/*.label with *.invalid), or a plain folder of both
            (the columns in_view and out_of_view also need sequences/XX/calib.txt and image_2/);
            with --benchmark SSCBench-KITTI-360 the root above data_2d_raw/ (without these columns)
  PRED_DIR  root with sequences/XX/predictions/*.label, output of tools/infer.py (XX/*.label), or
            a plain folder of *.label

The columns visible and occluded need a network's depth, which label files lack: tools/test.py.

example:
  python tools/evaluate_predictions.py data/kitti/dataset work_dirs/predictions \\
      --split val --json scores.json --confusion confusion.png
  python tools/evaluate_predictions.py data/kitti360 work_dirs/predictions \\
      --benchmark SSCBench-KITTI-360 --split test
"""


BENCHMARKS = ("SemanticKITTI", "SSCBench-KITTI-360")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = tool_parser(f"{__doc__}\n{EXAMPLE}")
    parser.add_argument("gt_dir", type=Path, metavar="GT_DIR", help="ground truth")
    parser.add_argument("pred_dir", type=Path, metavar="PRED_DIR", help="predictions")
    parser.add_argument(
        "--benchmark",
        choices=BENCHMARKS,
        default=BENCHMARKS[0],
        help="whose ids, layout and rules (default: %(default)s)",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--split",
        default="val",
        help="sequences: train, val, trainval or, if it has labels, test (default: val)",
    )
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
        "--no-views", action="store_true", help="do not split into voxels in and out of view"
    )
    parser.add_argument(
        "--grid-size",
        type=int,
        nargs=3,
        metavar=("X", "Y", "Z"),
        help="voxels along x, y, z (default: 256 256 32)",
    )
    parser.add_argument("--voxel-size", type=positive, metavar="M", help="metres (default: 0.2)")
    parser.add_argument(
        "--voxel-origin",
        type=float,
        nargs=3,
        metavar=("X", "Y", "Z"),
        help="corner of the grid in the lidar frame, metres (default: 0 -25.6 -2)",
    )
    return parser.parse_args(argv)


def evaluate(args: argparse.Namespace) -> None:
    """Scores all frames, prints the table and writes the files that were asked for."""
    from dataclasses import replace

    import numpy as np
    from tqdm import tqdm

    from htcl.datasets.specification import build_specification
    from htcl.evaluation.prediction_files import find_frames, score_frame
    from htcl.evaluation.regions import FULL, range_regions, view_regions, whole_grid_ranges
    from htcl.evaluation.report import (
        as_percentages,
        format_table,
        metric_definition,
        save_confusion_picture,
        scores_by_region,
    )
    from htcl.files import atomic_write
    from htcl.geometry import VoxelGrid
    from htcl.provenance import program_facts

    benchmark = build_specification(args.benchmark)
    grid = benchmark.stored_grid
    grid = VoxelGrid(
        args.voxel_origin or grid.origin,
        args.voxel_size or grid.voxel_size,
        args.grid_size or grid.shape,
    )
    specification = replace(benchmark, grid=grid, stored_grid=grid)
    sequences = specification.select_sequences(args.split, args.sequences)
    regions = range_regions(grid, args.ranges)
    repeated = whole_grid_ranges(grid, args.ranges)
    frames = find_frames(args.gt_dir, args.pred_dir, sequences, not args.no_invalid, benchmark)
    views = _views(args, sorted({frame.sequence for frame in frames}), grid)
    total: dict[str, np.ndarray] = {}
    for frame in tqdm(frames, desc="scoring", unit="frame"):
        seen = view_regions(views[frame.sequence]) if views else {}
        for name, matrix in score_frame(frame, specification, regions | seen).items():
            total[name] = total.get(name, 0) + matrix
    scores = scores_by_region(total, specification)
    print(f"frames: {len(frames)}; scores in per cent")
    print(format_table(scores, specification, total[FULL].sum(axis=0), omit=repeated))
    if args.json:
        report = {
            "frames": [frame.name for frame in frames],
            "class_names": list(specification.class_names),
            "percent": as_percentages(scores, specification),
            "confusion_rows_predicted": total[FULL].tolist(),
            "provenance": {
                **program_facts(),
                "ground_truth": str(args.gt_dir),
                "predictions": str(args.pred_dir),
                "sequences": list(sequences),
                "invalid_voxels": "scored" if args.no_invalid else "not scored",
                "metrics": [metric_definition(specification, total, len(frames))],
            },
        }
        with atomic_write(args.json, "w") as file:
            file.write(json.dumps(report, indent=2) + "\n")
        print(f"scores: {args.json}")
    if args.confusion:
        save_confusion_picture(args.confusion, total[FULL], specification.class_names)
        print(f"confusion matrix: {args.confusion}")


def _views(args: argparse.Namespace, sequences: list[str], grid: VoxelGrid) -> dict[str, Tensor]:
    """Voxels in view by sequence, bool (X, Y, Z); empty if unwanted or if files are missing."""
    from htcl.errors import MissingFileError
    from htcl.evaluation.prediction_files import views_of_sequences

    if args.no_views or args.benchmark != BENCHMARKS[0]:
        return {}
    try:
        if sequences == [""]:
            raise MissingFileError("a plain folder of ground truth has no calibration")
        return views_of_sequences(args.gt_dir, sequences, grid)
    except MissingFileError as error:
        print(f"without the columns in_view and out_of_view: {error}")
        return {}


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return run_tool("evaluate_predictions", evaluate, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
