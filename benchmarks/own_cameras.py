"""What it costs when cameras leave what the mini checkpoint was trained with.

The same two synthetic streets that nothing trained on are driven by cars whose cameras are changed
in one number at a time, and the checkpoint is scored on each. The voxels of a changed height lie as
those of a user's own cameras do: their origin is 1.73 m above the road.

Example:
  python benchmarks/own_cameras.py --page docs/own_cameras.md
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from environment import describe_environment
from page_section import write_section
from tqdm import tqdm

from htcl.command_line import count, tool_parser
from htcl.config import load_config
from htcl.datasets.rig_range import LIDAR_HEIGHT
from htcl.engine.runner import build_runner
from mini_kitti.sensors.rig import Rig
from mini_kitti.writer.sequence_writer import SequenceWriter
from mini_kitti.writer.settings import MiniKittiSettings

CONFIG = "projects/configs/occupancy/mini/htcl_plus.py"
CHECKPOINT = "pretrain/mini_htcl.pth"
STREETS = ("08", "09")


@dataclass(frozen=True)
class Case:
    """A change: words, what it does to a rig, and to the config."""

    words: str
    change: Callable[[Rig], Rig] = lambda rig: rig
    stride: int = 1


def height(metres: float) -> Callable[[Rig], Rig]:
    """Cameras at this height, and the origin of the voxels where it is for own cameras."""

    def change(rig: Rig) -> Rig:
        mounted = rig.camera_from_lidar.copy()
        mounted[1, 3] = metres - LIDAR_HEIGHT
        return replace(rig, camera_from_lidar=mounted, camera_height=metres)

    return change


def focal_length(factor: float) -> Callable[[Rig], Rig]:
    """A longer or shorter lens in both cameras."""

    def change(rig: Rig) -> Rig:
        lens = np.diag([factor, factor, 1.0])
        projections = {}
        for name, matrix in rig.projections.items():
            centre = matrix[:2, 2].copy()
            projections[name] = lens @ matrix
            # The optical axis stays where it is in the image.
            projections[name][:2] += np.outer((1 - factor) * centre, matrix[2])
        return replace(rig, projections=projections)

    return change


def baseline(factor: float) -> Callable[[Rig], Rig]:
    """The right camera nearer to the left one, or farther from it."""

    def change(rig: Rig) -> Rig:
        left, right = rig.projections["P2"], rig.projections["P3"]
        moved = right.copy()
        moved[:, 3] = left[:, 3] + factor * (right[:, 3] - left[:, 3])
        return replace(rig, projections={**rig.projections, "P3": moved})

    return change


CASES = (
    Case("as in the training"),
    Case("camera at 1.65 m, as KITTI's", height(1.65)),
    Case("camera at 0.8 m", height(0.8)),
    Case("camera at 2.4 m", height(2.4)),
    Case("focal length x 0.7", focal_length(0.7)),
    Case("focal length x 1.4", focal_length(1.4)),
    Case("baseline x 0.5", baseline(0.5)),
    Case("baseline x 2", baseline(2.0)),
    Case("history frames three times as far apart", stride=3),
)


def write_streets(root: Path, case: Case, frames: int) -> None:
    """Makes the streets as the case's cameras see them."""

    class Writer(SequenceWriter):
        def make_rig(self, rng: np.random.Generator) -> Rig:
            return case.change(super().make_rig(rng))

    settings = MiniKittiSettings(frames=frames, traffic=0.0, lean=True)
    for street in STREETS:
        folder = root / "sequences" / street
        folder.mkdir(parents=True)
        Writer(folder, street, settings, lambda steps: None).write()
        (root / "labels").mkdir(exist_ok=True)
        (folder / "ready").rename(root / "labels" / street)


def score(root: Path, case: Case) -> dict[str, float]:
    """Scores of the checkpoint on the streets, in per cent."""
    options = {
        "data_root": str(root),
        "val_sequences": STREETS,
        "num_workers": 0,
        "history_stride": case.stride,
    }
    cfg = load_config(CONFIG, options)
    cfg.custom_hooks = []
    cfg.log_level = "ERROR"
    runner = build_runner(cfg, work_dir=root / "work", checkpoint=CHECKPOINT, precision="fp32")
    return runner.test()


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument(
        "--frames", type=count, default=16, help="frames of a street, each fifth scored (16)"
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="put the table into this page")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Runs all cases and prints the table."""
    args = parse_args(argv)
    regions = ("12.8m", "25.6m", "")
    lines = [
        "| cameras | IoU / mIoU to 12.8 m, % | to 25.6 m | to 51.2 m |",
        "| --- | --- | --- | --- |",
    ]
    for case in tqdm(CASES, unit="case"):
        with tempfile.TemporaryDirectory() as folder:
            write_streets(Path(folder), case, args.frames)
            found = score(Path(folder), case)
        values = []
        for region in regions:
            start = f"{region}/" if region else ""
            values.append(f"{found[f'{start}IoU']:.1f} / {found[f'{start}mIoU']:.2f}")
        lines.append(f"| {case.words} | {' | '.join(values)} |")
        tqdm.write(lines[-1])
    scored = len(STREETS) * len(range(0, args.frames, 5))
    lines += ["", f"{scored} frames a row. {describe_environment()}"]
    table = "\n".join(lines)
    print(table)
    if args.page:
        write_section(args.page, "table", table + "\n")


if __name__ == "__main__":
    main()
