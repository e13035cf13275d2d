r"""Makes the pictures and the video of docs/gallery.md, from synthetic streets alone.

Each entry is a command that a user would type; the page prints it. Pictures are stored as WebP of
at most 200 kB, in place of the tools' PNG files.

Example:
  python tools/make_mini_kitti.py --out data/mini
  python benchmarks/mini_benchmarks.py --only occ3d --steps 200 --batch-size 1
  python benchmarks/ablation.py --amp --steps 0 100 --lr 1e-3 --seeds 0 --rows plus points_trust \
      --work-dir work_dirs/points_shipped
  python benchmarks/gallery.py
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from htcl.command_line import tool_parser

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs/images/gallery"
CONFIG = "projects/configs/occupancy/mini/htcl_plus.py"
POINTS = "projects/configs/occupancy/mini/htcl_points.py"
CHECKPOINT = "pretrain/mini_htcl.pth"
SURROUND = "projects/configs/occupancy/mini/occ3d.py"
SURROUND_CHECKPOINT = "work_dirs/mini_benchmarks/occ3d_200_steps_of_1/iter_200.pth"
# Networks with and without points of the history, trained alike.
STUDY = "work_dirs/points_shipped/stage_2_0_100_steps_of_4"
OUT = "outputs/gallery"
LARGEST = 200_000
# What all pictures but those of the data are made of.
PREDICTIONS = (
    f"python tools/save_vis.py {CONFIG} {CHECKPOINT} --out {OUT}/plus "
    "--cfg-options test_dataloader.dataset.sequences=08",
    f"python tools/save_vis.py {CONFIG} {STUDY}/plus/seed_0/iter_100.pth --out {OUT}/matching "
    "--max-frames 5 --cfg-options test_dataloader.dataset.sequences=08",
    f"python tools/save_vis.py {POINTS} {STUDY}/points_trust/seed_0/iter_100.pth "
    f"--out {OUT}/points --max-frames 5 --cfg-options test_dataloader.dataset.sequences=08",
    f"python tools/test.py {CONFIG} {CHECKPOINT} --out {OUT}/labels "
    "--cfg-options test_dataloader.dataset.sequences=08",
    f"python tools/save_vis.py {SURROUND} {SURROUND_CHECKPOINT} --out {OUT}/surround "
    "--max-frames 2",
)
# Name of a picture: the command, and the file that it writes.
DRAW = f"python tools/visualization.py {OUT}/plus --row-height 240"
PICTURES = {
    "overview": (f"{DRAW} --frame 08/000020 --out {OUT}/a", f"{OUT}/a/08/000020.png"),
    "far": (f"{DRAW} --frame 08/000030 --out {OUT}/a", f"{OUT}/a/08/000030.png"),
    "errors": (f"{DRAW} --frame 08/000010 --error --out {OUT}/b", f"{OUT}/b/08/000010.png"),
    "depth": (f"{DRAW} --frame 08/000005 --depth --out {OUT}/c", f"{OUT}/c/08/000005.png"),
    "affinity": (
        f"{DRAW} --frame 08/000015 --affinity --out {OUT}/d",
        f"{OUT}/d/08/000015.png",
    ),
    "comparison": (
        f"python tools/visualization.py {OUT}/matching/08/000020.npz --compare "
        f"{OUT}/points/08/000020.npz --titles matching points --row-height 240 --out {OUT}/e",
        f"{OUT}/e/08/000020_comparison.png",
    ),
    "training_sample": (
        f"python tools/browse_dataset.py {CONFIG} --max-frames 1 --out {OUT}/f",
        f"{OUT}/f",
    ),
    "surround": (
        f"python tools/visualization.py {OUT}/surround --row-height 240 --max-frames 1 "
        f"--out {OUT}/h",
        f"{OUT}/h",
    ),
    "confusion": (
        f"python tools/evaluate_predictions.py data/mini {OUT}/labels --sequences 08 "
        f"--confusion {OUT}/confusion.png",
        f"{OUT}/confusion.png",
    ),
}
VIDEO = (
    f"python tools/visualization.py {OUT}/plus --video mp4 --fps 2 --row-height 160 --out {OUT}/g"
)


def run(command: str) -> None:
    """Runs a command of the page."""
    words = shlex.split(command)
    program = [sys.executable, *words[1:]]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}/projects"}
    subprocess.run(program, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, env=environment)


def store(source: Path, name: str) -> Path:
    """Stores a picture as WebP, no wider than 1400 pixels and no larger than 200 kB."""
    if source.is_dir():
        source = next(iter(sorted(source.rglob("*.png"))))
    picture = Image.open(source).convert("RGB")
    picture.thumbnail((1400, 1400))
    target = TARGET / f"{name}.webp"
    for quality in (75, 65, 55, 45):
        picture.save(target, quality=quality, method=6)
        if target.stat().st_size <= LARGEST:
            return target
    raise SystemExit(f"{target} is larger than {LARGEST} bytes at the lowest quality")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[*PICTURES, "video"],
        help="these alone, of predictions at hand",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Runs all commands."""
    args = parse_args(argv)
    TARGET.mkdir(exist_ok=True)
    names = args.only or [*PICTURES, "video"]
    for command in tqdm(() if args.only else PREDICTIONS, desc="predictions"):
        run(command)
    for name in tqdm(names, desc="pictures"):
        if name == "video":
            run(VIDEO)
            shutil.copy(ROOT / OUT / "g/08.mp4", TARGET / "drive.mp4")
        else:
            command, file = PICTURES[name]
            run(command)
            store(ROOT / file, name)


if __name__ == "__main__":
    main()
