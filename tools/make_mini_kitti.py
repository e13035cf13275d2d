r"""Makes the mini data set: synthetic streets in exactly the SemanticKITTI layout.

Finished sequences are kept: an interrupted run goes on where it was.

Example:
    python tools/make_mini_kitti.py --out data/mini
    python tools/make_mini_kitti.py --out data/tiny --sequences 00 08 --frames 11 \
        --image-size 96 312
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
    parser.add_argument("--seed", type=int, help="other seeds, other streets (default: 0)")
    parser.add_argument(
        "--sequences",
        nargs="+",
        metavar="XX",
        help="two-digit names; 11 and up are test sequences without labels (default: 00 to 11)",
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
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Make what is missing and say where it is."""
    args = parse_args(arguments)
    from mini_kitti import DEFAULT_SEQUENCES, MiniKittiSettings, make_mini_kitti

    start = time.perf_counter()
    changes = {
        "seed": args.seed,
        "frames": args.frames,
        "image_size": tuple(args.image_size) if args.image_size else None,
        "lidar_azimuths": args.lidar_azimuths,
    }
    sequences = args.sequences or list(DEFAULT_SEQUENCES)
    try:
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
