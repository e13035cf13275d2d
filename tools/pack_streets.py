r"""Packs synthetic streets into a small file, and unpacks it: for a machine that they travel to.

Images become JPEG, points half-precision numbers, every third of them: a lean street takes about
1.5 MB in place of 13. A training on them is not the same as on the streets themselves.

Examples:
    python tools/pack_streets.py pack data/streets streets.tar.xz
    python tools/pack_streets.py unpack streets.tar.xz data/unpacked
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_subparsers(dest="what", required=True)
    pack = what.add_parser("pack", help="folder to file")
    pack.add_argument("root", type=Path, help="of tools/make_mini_kitti.py --lean")
    pack.add_argument("file", type=Path, help="to write, .tar.xz")
    pack.add_argument(
        "--sequences", nargs="+", metavar="XX", help="default: all that have voxel labels"
    )
    pack.add_argument(
        "--points-every", type=int, default=3, metavar="N", help="keep 1 of N points (default: 3)"
    )
    pack.add_argument("--quality", type=int, default=70, help="of the JPEG images (default: 70)")
    unpack = what.add_parser("unpack", help="file to folder")
    unpack.add_argument("file", type=Path)
    unpack.add_argument("root", type=Path, help="folder to make")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Packs or unpacks; returns the exit status."""
    args = parse_args(argv)
    import tarfile

    from tqdm import tqdm

    from mini_kitti.writer.street_pack import pack_streets, unpack_streets

    try:
        if args.what == "unpack":
            names = unpack_streets(args.file, args.root)
        else:
            labelled = sorted(path.parent.name for path in args.root.glob("sequences/*/voxels"))
            sequences = args.sequences or labelled
            bar = tqdm(sequences, unit="street")
            names = pack_streets(args.root, args.file, bar, args.points_every, args.quality)
    except (OSError, ValueError, tarfile.TarError) as error:
        print(f"pack_streets: {error}", file=sys.stderr)
        return 1
    size = args.file.stat().st_size / 1e6
    print(f"{len(names)} streets, {size:.1f} MB: {','.join(names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
