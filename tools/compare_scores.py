"""Says whether one network is better than another on the same frames, or only luckier.

Both files come from tools/test.py --frames. The difference of each score gets an interval: frames
are drawn with replacement, the same ones for both networks, and 95 % of the draws lie inside of it
(bootstrap). An interval without 0 is marked. It tells how far the result depends on which frames
were scored, not on the seed of the training: for that, train several times and compare each pair.

Examples:
  python tools/test.py CONFIG CKPT --frames a.npz
  python tools/test.py OTHER_CONFIG OTHER_CKPT --frames b.npz
  python tools/compare_scores.py a.npz b.npz
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from htcl.command_line import count, run_tool, tool_parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument("first", type=Path, metavar="A.npz", help="scores of one network by frame")
    parser.add_argument("second", type=Path, metavar="B.npz", help="of the other")
    parser.add_argument("--draws", type=count, default=2000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (default: 0)")
    return parser.parse_args(argv)


def compare(args: argparse.Namespace) -> None:
    """Prints the table."""
    from prettytable import PrettyTable

    from htcl.evaluation.paired import FrameScores, compare_frames

    first, second = FrameScores.read(args.first), FrameScores.read(args.second)
    compared = compare_frames(first, second, args.draws, seed=args.seed)
    table = PrettyTable(["region", "score", "A", "B", "B - A", "95 % of the draws", "differs"])
    table.align = "r"
    for region, scores in compared.items():
        for name, score in scores.items():
            interval = f"{score.low:+.2f} to {score.high:+.2f}"
            difference = f"{score.second - score.first:+.2f}"
            values = f"{score.first:.2f}", f"{score.second:.2f}", difference, interval
            table.add_row([region, name, *values, "yes" if score.differs else ""])
    print(f"A: {args.first}\nB: {args.second}\n{len(first.frames)} frames, per cent\n{table}")


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns the exit status."""
    return run_tool("compare_scores", compare, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
