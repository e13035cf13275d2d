"""Makes the mini data set: synthetic streets in exactly the SemanticKITTI layout.

Example:
    python tools/make_mini_kitti.py --out data/mini
    python tools/make_mini_kitti.py --out /tmp/tiny --sequences 00 08 --frames 11 --image-size 96 312
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from htcl.datasets.mini import DEFAULT_SEQUENCES, MiniKittiSettings, make_mini_kitti


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    defaults = MiniKittiSettings()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the data set, e.g. data/mini"
    )
    parser.add_argument("--seed", type=int, default=defaults.seed, help="default: %(default)s")
    parser.add_argument(
        "--sequences",
        nargs="+",
        default=list(DEFAULT_SEQUENCES),
        metavar="XX",
        help="two-digit names; 11 and up are test sequences without labels (default: 00 to 11)",
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=defaults.frames,
        help="frames of a sequence (default: %(default)s)",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        nargs=2,
        default=list(defaults.image_size),
        metavar=("H", "W"),
        help="height and width in pixels (default: %(default)s)",
    )
    parser.add_argument(
        "--lidar-azimuths",
        type=int,
        default=defaults.lidar_azimuths,
        help="columns of a lidar scan (default: %(default)s)",
    )
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
    start = time.perf_counter()
    try:
        settings = MiniKittiSettings(
            args.seed, args.frames, tuple(args.image_size), args.lidar_azimuths
        )
        made = make_mini_kitti(args.out, settings, args.sequences, args.jobs)
    except (ValueError, FileExistsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    skipped = len(args.sequences) - len(made)
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(
        f"{len(made)} sequences made, {skipped} were there already; {size / 1e6:.0f} MB in {args.out} "
        f"({time.perf_counter() - start:.0f} s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
