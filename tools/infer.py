r"""Predicts the voxels around your own camera: images, folders or videos.

CONFIG may be left out for a checkpoint that was trained with a config of this project.

Examples:
  python tools/infer.py pretrain/mini_htcl.pth --left l.png --right r.png --calib camera.yml
  python tools/infer.py CONFIG CKPT --left l.png --right r.png --calib calib.txt
  python tools/infer.py CONFIG CKPT --left image_2/ --right image_3/ --calib calib.txt \
      --poses poses.txt --formats npz label ply png --out outputs/mine
  python tools/infer.py CONFIG CKPT --left l.mp4 --right r.mp4 --calib camera.yml --static
  python tools/infer.py MONO_CONFIG CKPT --left dashcam.mp4 --calib camera.yml
  python tools/infer.py SURROUND_CONFIG CKPT --rig rig.yml --poses poses.txt

docs/inference.md describes the calibration file.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from htcl.command_line import (
    add_cfg_options,
    add_precision,
    count,
    positive,
    run_tool,
    tool_parser,
)
from htcl.errors import MissingFileError
from htcl.files import existing

FORMATS = ("npz", "label", "ply", "png")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument(
        "config", nargs="?", help="config file (default: the shipped one that the checkpoint names)"
    )
    parser.add_argument("checkpoint", help="checkpoint, ours or a released one")
    source = "image, folder of images, several images, or video"
    images = parser.add_mutually_exclusive_group(required=True)
    images.add_argument("--left", nargs="+", metavar="L", help=f"left camera: {source}")
    images.add_argument(
        "--rig", metavar="R.yml", help="several cameras around the car: a file that names them"
    )
    parser.add_argument(
        "--right", nargs="+", metavar="R", help="right camera: the same; not for mono models"
    )
    parser.add_argument(
        "--calib", metavar="C", help="KITTI's calib.txt, or a small YAML file; not with --rig"
    )
    motion = parser.add_mutually_exclusive_group()
    motion.add_argument("--poses", metavar="P", help="poses as in KITTI's poses.txt")
    motion.add_argument("--static", action="store_true", help="the camera does not move")
    parser.add_argument(
        "--out", metavar="DIR", help="output (default: outputs/infer/<sequence>_<time>)"
    )
    parser.add_argument("--name", help="name of the sequence (default: that of folder or video)")
    parser.add_argument(
        "--formats",
        nargs="+",
        choices=FORMATS,
        default=["npz", "png"],
        help="files of each frame (default: npz png)",
    )
    parser.add_argument("--batch-size", type=count, default=1, metavar="N")
    spacing = parser.add_mutually_exclusive_group()
    spacing.add_argument(
        "--history-stride",
        nargs="+",
        type=count,
        metavar="N",
        help="distance of the history frames, or that of each to the present, such as 1 5 10 "
        "(default: the config's)",
    )
    spacing.add_argument(
        "--history-metres",
        type=positive,
        metavar="M",
        help="distance of the history frames in metres along the camera's path; it takes poses",
    )
    parser.add_argument(
        "--history-max-frames",
        type=count,
        metavar="N",
        help="how many frames back --history-metres looks at most (default: the config's)",
    )
    parser.add_argument(
        "--every", type=count, default=1, metavar="N", help="predict every N-th frame only"
    )
    parser.add_argument("--max-frames", type=count, metavar="N", help="predict at most N frames")
    parser.add_argument(
        "--row-height", type=int, default=340, metavar="PX", help="size of pictures (default: 340)"
    )
    parser.add_argument("--device", help="such as cpu or cuda:0 (default: a GPU if there is one)")
    add_precision(parser)
    add_cfg_options(parser, "model.temporal=None model.temporal_fusion=None")
    args = parser.parse_args(argv)
    if (args.calib is None) != (args.left is None):
        parser.error("--left needs --calib, and --rig has the calibration in its file")
    if args.rig and args.right:
        parser.error("--right belongs to --left, not to --rig")
    return args


def check_paths(args: argparse.Namespace) -> None:
    """Looks whether the inputs exist, before libraries are loaded that take their time.

    Raises:
        MissingFileError: If one does not.
    """
    for path in (*(args.left or ()), *(args.right or ())):
        if not Path(path).exists():
            raise MissingFileError(f"{path}: no such image, folder or video")
    for path, what in ((args.calib, "calibration"), (args.poses, "pose"), (args.rig, "rig")):
        if path is not None:
            existing(path, what)


def run(args: argparse.Namespace) -> None:
    """Predicts and writes the files."""
    check_paths(args)
    from htcl.apis import HTCLInferencer
    from htcl.apis.clip_builder import needs_poses
    from htcl.apis.frame_source import FrameSource
    from htcl.files import plain_name
    from htcl.visualization.result_folder import mark_latest

    left, right = (s[0] if s is not None and len(s) == 1 else s for s in (args.left, args.right))
    title = Path(args.rig).resolve().parent.name if args.rig else FrameSource(left).title
    name = plain_name(args.name or title, "--name")
    out = args.out or f"outputs/infer/{name}_{time.strftime('%Y%m%d_%H%M%S')}"
    inferencer = HTCLInferencer(
        args.config,
        args.checkpoint,
        args.device,
        cfg_options=args.cfg_options,
        precision=args.precision,
    )
    if right is not None and not inferencer.clips.stereo:
        print("this model takes the left images alone; --right is not used")
    stride = args.history_stride
    if stride is not None and len(stride) == 1:
        stride = stride[0]
    spacing = inferencer.clips.spacing.changed(stride, args.history_metres, args.history_max_frames)
    if args.poses is not None and not needs_poses(inferencer.clips.inputs, spacing):
        print("this model takes no poses; --poses is not used")
    inputs = {"poses": args.poses, "name": name}
    inputs |= {"rig": args.rig} if args.rig else {"left": left, "right": right, "calib": args.calib}
    found = inferencer(
        inputs,
        batch_size=args.batch_size,
        history_stride=stride,
        history_metres=args.history_metres,
        history_max_frames=args.history_max_frames,
        static=args.static,
        every=args.every,
        max_frames=args.max_frames,
        out_dir=out,
        formats=args.formats,
        return_vis="png" in args.formats,
        row_height=args.row_height,
    )
    print(f"{len(found['predictions'])} frames in {out}/{name} ({', '.join(args.formats)})")
    if "npz" in args.formats:
        mark_latest(out)
        print("next: python tools/visualization.py   # more views, video, page for the browser")


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns the exit status."""
    return run_tool("infer", run, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
