"""Draws what tools/save_vis.py saved: pictures, videos, meshes, a page for the browser.

Needs neither display nor GPU (but --window does need a display), and no data set.

Examples:
  python tools/visualization.py                         # PNGs of what save_vis wrote last
  python tools/visualization.py DIR --frame 08/000005   # one frame; --frame 08 for one sequence
  python tools/visualization.py --error --depth         # with error map and depth of the best plane
  python tools/visualization.py --video mp4 --fps 5     # a video of each sequence
  python tools/visualization.py --html --max-frames 20  # one page: turn, zoom, switch classes
  python tools/visualization.py --mesh                  # smooth .ply surfaces in metres
  python tools/visualization.py A/08/000005.npz --compare B/08/000005.npz   # side by side
"""

from __future__ import annotations

import argparse
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from htcl.command_line import count, positive, run_tool, tool_parser

if TYPE_CHECKING:
    import numpy as np


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument(
        "folder",
        nargs="?",
        metavar="DIR",
        help="folder of result files (default: what tools/save_vis.py wrote last); with --compare "
        "also one file",
    )
    parser.add_argument("--frame", metavar="SEQ/FRAME", help="one frame, or SEQ for one sequence")
    parser.add_argument("--max-frames", type=count, metavar="N", help="only the first N frames")
    parser.add_argument("--out", metavar="DIR", type=Path, help="output (default: DIR/pictures)")
    rows = parser.add_argument_group("rows of a picture, besides image, prediction, ground truth")
    rows.add_argument("--error", action="store_true", help="missed, invented, wrong class")
    rows.add_argument("--depth", action="store_true", help="depth of the best plane")
    rows.add_argument("--affinity", action="store_true", help="temporal affinity maps")
    rows.add_argument(
        "--row-height", type=int, default=340, metavar="PX", help="size (default: %(default)s)"
    )
    other = parser.add_argument_group("other outputs, instead of a PNG a frame")
    other.add_argument("--video", choices=("mp4", "gif"), help="a video of each sequence")
    other.add_argument(
        "--fps", type=positive, default=5.0, help="of the video (default: %(default)s)"
    )
    other.add_argument("--html", action="store_true", help="one page for a browser, works offline")
    other.add_argument(
        "--mesh",
        nargs="?",
        const="one",
        choices=("one", "classes"),
        help="a coloured .ply a frame, or a .ply a class",
    )
    other.add_argument("--window", action="store_true", help="an Open3D window a frame")
    compare = parser.add_argument_group("one page that compares predictions of one frame")
    compare.add_argument(
        "--compare",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="other result files of the frame; they stand beside the one of DIR and --frame",
    )
    compare.add_argument(
        "--titles",
        nargs="+",
        metavar="TITLE",
        help="what to call each, the one of DIR first (default: what differs in their paths)",
    )
    args = parser.parse_args(argv)
    if args.titles and not args.compare:
        parser.error("--titles names what --compare shows: add --compare, or leave it out")
    if args.compare:
        options = ("error", "depth", "affinity", "video", "html", "mesh", "window")
        if others := [f"--{name}" for name in options if getattr(args, name)]:
            parser.error(f"--compare makes a page of its own: leave out {' '.join(others)}")
        expected = 1 + len(args.compare)
        if args.titles and len(args.titles) != expected:
            parser.error(
                f"--titles has {len(args.titles)} names, expected {expected}: one for the result "
                "of DIR, then one for each of --compare"
            )
    if args.row_height < 100:
        parser.error(f"--row-height must be at least 100, got {args.row_height}")
    return args


def draw(args: argparse.Namespace, files: list[Path], out: Path) -> list[Path]:
    """Makes the wished outputs; returns the files written."""
    from tqdm import tqdm

    from htcl.visualization.overview import render_overview
    from htcl.visualization.result_file import FrameResult
    from htcl.visualization.saving import save_picture

    def picture(path: Path) -> np.ndarray:
        result = FrameResult.load(path)
        return render_overview(
            result, args.error, args.depth, args.affinity, row_height=args.row_height
        )

    if args.window:
        from htcl.visualization.window import require_display

        require_display()
    written: list[Path] = []
    if not (args.video or args.html or args.mesh or args.window):
        for path in tqdm(files, desc="pictures", unit="frame"):
            target = out / path.parent.name / f"{path.stem}.png"
            save_picture(picture(path), target)
            written.append(target)
    if args.video:
        from htcl.visualization.video import write_video

        with tqdm(total=len(files), desc="video", unit="frame") as bar:
            for sequence, group in groupby(files, key=lambda path: path.parent.name):
                pictures = ((picture(path), bar.update())[0] for path in group)
                written.append(write_video(pictures, out / f"{sequence}.{args.video}", args.fps))
    if args.html:
        from htcl.visualization.html_viewer import write_html

        results = map(FrameResult.load, tqdm(files, desc="page", unit="frame"))
        written.append(write_html(results, out / "viewer.html"))
    if args.mesh:
        from htcl.visualization.meshes import write_meshes

        for path in tqdm(files, desc="meshes", unit="frame"):
            folder = out / path.parent.name
            written += write_meshes(FrameResult.load(path), folder, args.mesh == "classes")
    if args.window:
        from htcl.visualization.window import show_window

        for path in files:
            show_window(FrameResult.load(path))
    return written


def compare_results(args: argparse.Namespace, files: list[Path], out: Path) -> list[Path]:
    """Draws the page of --compare; returns its path.

    Raises:
        InvalidValueError: If ``files`` are several, or the results are not of the same frame.
    """
    from htcl.errors import InvalidValueError
    from htcl.visualization.comparison import render_comparison, require_same_frame
    from htcl.visualization.result_file import FrameResult
    from htcl.visualization.result_folder import telling_names
    from htcl.visualization.saving import save_picture

    if len(files) > 1:
        raise InvalidValueError(
            f"--compare draws one frame, {files[0].parents[1]} gives {len(files)}: choose one with "
            "--frame SEQ/FRAME, or name its file in place of the folder"
        )
    paths = [*files, *args.compare]
    results = [FrameResult.load(path) for path in paths]
    # The page knows only titles; here the files can be named.
    require_same_frame(results, paths)
    titles = args.titles or telling_names(paths)
    target = out / results[0].sequence / f"{results[0].frame}_comparison.png"
    save_picture(render_comparison(results, titles, args.row_height), target)
    return [target]


def run(args: argparse.Namespace) -> None:
    """Draws and says where."""
    from htcl.visualization.result_folder import latest_folder, list_results

    folder = Path(args.folder) if args.folder else latest_folder()
    if args.compare and folder.is_file():
        files, folder = [folder], folder.parent
    else:
        files = list_results(folder, args.frame)[: args.max_frames]
    out = args.out or folder / "pictures"
    written = (compare_results if args.compare else draw)(args, files, out)
    if len(written) == 1:
        print(f"wrote {written[0]}")
    elif written:
        print(f"wrote {len(written)} files in {out}")


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns the exit status."""
    return run_tool("visualization", run, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
