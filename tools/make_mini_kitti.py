r"""Makes the mini data set: synthetic streets in the layout of SemanticKITTI or of KITTI-360.

Finished sequences are kept: an interrupted run goes on where it was, and more streets come beside
those that are there. What is in a street does not depend on the others.

Example:
    python tools/make_mini_kitti.py --out data/mini
    python tools/make_mini_kitti.py --out data/streets --streets 64 --lean --label-every 10
    python tools/make_mini_kitti.py --out data/tiny --sequences 00 08 --frames 11 \
        --image-size 96 312
    python tools/make_mini_kitti.py --out data/mini360 --layout kitti360 --image-size 140 520
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; None stands for the defaults of MiniKittiSettings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="data set folder, e.g. data/mini")
    parser.add_argument(
        "--layout",
        choices=("semantickitti", "kitti360"),
        help="whose files and cameras (default: semantickitti)",
    )
    parser.add_argument("--seed", type=int, help="other seeds, other streets (default: 0)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--streets",
        type=int,
        metavar="N",
        help="training streets 00 to 07, 10, 100, 101, ...; with 08, 09, 11 (default: 9)",
    )
    which.add_argument(
        "--sequences",
        nargs="+",
        metavar="XX",
        help="names instead; 11 to 99 are test sequences without labels (default: 00 to 11); "
        "with --layout kitti360 of its drives 00, 02 to 07, 09, 10 (default: all)",
    )
    parser.add_argument(
        "--label-every",
        type=int,
        metavar="N",
        help="voxel labels for every n-th frame, 1: for all (default: 5)",
    )
    parser.add_argument(
        "--traffic",
        type=float,
        metavar="SHARE",
        help="share of the streets with moving traffic, 0 to 1 (default: 0.5)",
    )
    parser.add_argument(
        "--lean",
        action="store_true",
        help="a quarter of the size: scans of labelled frames only, ready training labels instead "
        "of the official voxel files",
    )
    parser.add_argument("--frames", type=int, help="frames of a sequence (default: 31)")
    parser.add_argument(
        "--image-size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="height and width in pixels (default: 160 520)",
    )
    parser.add_argument("--lidar-azimuths", type=int, help="columns of a lidar scan (default: 440)")
    parser.add_argument(
        "--jobs",
        type=int,
        default=max(1, len(os.sched_getaffinity(0))),
        help="processes; does not change the data (default: the number of cores)",
    )
    args = parser.parse_args(arguments)
    if args.layout == "kitti360" and (args.streets is not None or args.lean):
        parser.error("--streets and --lean are for the layout semantickitti")
    return args


def main(arguments: list[str] | None = None) -> int:
    """Make what is missing and say where it is."""
    args = parse_args(arguments)
    from mini_kitti import (
        DEFAULT_SEQUENCES,
        KITTI360_SEQUENCES,
        MiniKittiSettings,
        make_mini_kitti,
        sequences_for,
    )

    start = time.perf_counter()
    changes = {
        "seed": args.seed,
        "frames": args.frames,
        "image_size": tuple(args.image_size) if args.image_size else None,
        "lidar_azimuths": args.lidar_azimuths,
        "label_every": args.label_every,
        "traffic": args.traffic,
        "lean": args.lean,
        "layout": args.layout,
    }
    try:
        default = KITTI360_SEQUENCES if args.layout == "kitti360" else DEFAULT_SEQUENCES
        sequences = args.sequences or list(default)
        if args.streets is not None:
            sequences = list(sequences_for(args.streets))
        settings = MiniKittiSettings(**{k: v for k, v in changes.items() if v is not None})
        made = make_mini_kitti(args.out, settings, sequences, args.jobs)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(
        f"{len(made)} sequences made, {len(sequences) - len(made)} were there already; "
        f"{size / 1e6:.0f} MB in {args.out} ({time.perf_counter() - start:.0f} s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
