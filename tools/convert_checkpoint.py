"""Converts checkpoints between the published HTCL release and this project.

Examples:
  python tools/convert_checkpoint.py pretrain/pretrain.pth pretrain/htcl.pth
  python tools/convert_checkpoint.py pretrain/htcl.pth released.pth --reverse
  python tools/convert_checkpoint.py efficientnet-b7_imagenet.pth pretrain/efficientnet-b7.pth
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from htcl.command_line import run_tool, tool_parser

DEFAULT_CONFIG = "projects/configs/occupancy/semantickitti/temporal_baseline.py"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument("source", type=Path, metavar="IN.pth", help="checkpoint to read")
    parser.add_argument("target", type=Path, metavar="OUT.pth", help="checkpoint to write")
    parser.add_argument("--reverse", action="store_true", help="from our names to the released")
    parser.add_argument(
        "--ema", action="store_true", help="take the moving averages of an mmcv 1.x file"
    )
    parser.add_argument(
        "--config",
        default=DEFAULT_CONFIG,
        help="config whose network the names and shapes are checked against (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite OUT.pth")
    args = parser.parse_args(argv)
    if args.target.exists() and not args.force:
        parser.error(f"{args.target} exists; give --force to overwrite it")
    return args


def convert(args: argparse.Namespace) -> None:
    """Converts and reports."""
    from htcl.checkpoint.conversion import convert_file

    report = convert_file(
        args.source, args.target, args.config, reverse=args.reverse, use_ema=args.ema
    )
    print(report)


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns the exit status."""
    return run_tool("convert_checkpoint", convert, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
