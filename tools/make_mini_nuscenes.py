r"""Makes synthetic streets in nuScenes' tables, with labels of OpenOccupancy and Occ3D.

The same streets as tools/make_mini_kitti.py, seen by six cameras around the car and a lidar on its
roof. Finished scenes are kept: an interrupted run goes on where it was.

Example:
    python tools/make_mini_nuscenes.py --out data/mini_nuscenes
    python tools/make_mini_nuscenes.py --out data/tiny --streets 00 08 --key-frames 3 \
        --image-size 54 96
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

# Key frames at 2 Hz of a drive at 10 Hz.
_FRAMES_OF_KEY = 5
_IMAGE_SIZE, _KEY_FRAMES, _LIDAR_AZIMUTHS = (135, 240), 8, 440


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="data set folder, e.g. data/mini_nuscenes"
    )
    parser.add_argument("--seed", type=int, default=0, help="other seeds, other streets")
    parser.add_argument(
        "--streets",
        nargs="+",
        metavar="XX",
        help="names; 08 and 09 are for validation, 11 to 99 have no labels (default: 00 to 05, 08 "
        "and 09)",
    )
    parser.add_argument(
        "--key-frames",
        type=int,
        default=_KEY_FRAMES,
        metavar="N",
        help="of a scene, at 2 Hz; scenes without labels have a third (default: %(default)s)",
    )
    parser.add_argument(
        "--traffic",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="share of the streets with moving traffic, 0 to 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        default=_IMAGE_SIZE,
        help="height and width in pixels (default: {} {})".format(*_IMAGE_SIZE),
    )
    parser.add_argument(
        "--lidar-azimuths",
        type=int,
        default=_LIDAR_AZIMUTHS,
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
    from mini_kitti import NUSCENES_SEQUENCES, MiniKittiSettings, make_mini_kitti

    start = time.perf_counter()
    try:
        settings = MiniKittiSettings(
            seed=args.seed,
            frames=(args.key_frames - 1) * _FRAMES_OF_KEY + 1,
            image_size=tuple(args.image_size),
            lidar_azimuths=args.lidar_azimuths,
            label_every=_FRAMES_OF_KEY,
            traffic=args.traffic,
            layout="nuscenes",
        )
        streets = args.streets or list(NUSCENES_SEQUENCES)
        made = make_mini_kitti(args.out, settings, streets, args.jobs)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(
        f"{len(made)} scenes made, {len(streets) - len(made)} were there already; "
        f"{size / 1e6:.0f} MB in {args.out} ({time.perf_counter() - start:.0f} s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
