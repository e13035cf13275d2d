"""Makes completion ground truth (voxels/*.bin, .label, .invalid, .occluded) from labelled scans.

Needs velodyne/, labels/, calib.txt and poses.txt of each sequence; works on anybody's scans in the
SemanticKITTI layout. htcl.datasets.voxelizer defines the four files. Existing files are kept.

Example:
  python tools/data_converter/voxelize_scans.py --data-root data/mine --sequences 00
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from htcl.command_line import count, run_tool, tool_parser
from htcl.datasets.layout import ROOT_VARIABLE, KittiLayout
from htcl.errors import InvalidValueError, MissingFileError, listed

if TYPE_CHECKING:
    import numpy as np

DEFAULT_ROOT = "data/occupancy/semanticKITTI/RGB"
_SUFFIXES = (".bin", ".label", ".invalid", ".occluded")
# Enough for the window of one frame and its neighbour; a scan with labels takes about 2.5 MB.
_CACHED_SCANS = 160


class VoxelJob(NamedTuple):
    """Ground truth of one frame.

    Attributes:
        frame: Index of the current frame.
        scans: Frame index -> (scan file, label file) of all scans to gather, the current one too.
        calibration: ``calib.txt`` of the sequence.
        poses: ``poses.txt`` of the sequence.
        output: Path to write to, without suffix.
    """

    frame: int
    scans: dict[int, tuple[Path, Path]]
    calibration: Path
    poses: Path
    output: Path


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument(
        "--data-root", help=f"root of the data (default: ${ROOT_VARIABLE}, else {DEFAULT_ROOT})"
    )
    parser.add_argument("--velodyne-root", help="root of the scans, if elsewhere")
    parser.add_argument("--lidarseg-root", help="root of the point labels, if elsewhere")
    parser.add_argument(
        "--out", help="root to write sequences/XX/voxels to (default: into the data root)"
    )
    parser.add_argument(
        "--sequences",
        nargs="+",
        metavar="XX",
        help="sequences (default: all that have scans and point labels)",
    )
    parser.add_argument(
        "--every", type=count, default=5, metavar="N", help="frames 0, N, 2N, ... (default: 5)"
    )
    parser.add_argument("--frames", nargs="+", type=int, metavar="I", help="only these frames")
    parser.add_argument(
        "--future", type=int, default=70, metavar="N", help="later scans to gather (default: 70)"
    )
    parser.add_argument(
        "--past", type=int, default=0, metavar="N", help="earlier scans to gather (default: 0)"
    )
    parser.add_argument(
        "--min-range", type=float, default=2.5, metavar="M", help="nearest point (default: 2.5)"
    )
    parser.add_argument(
        "--max-range", type=float, default=70.0, metavar="M", help="farthest point (default: 70)"
    )
    parser.add_argument(
        "--car-box",
        type=float,
        nargs=3,
        default=[-2.0, 3.0, 2.0],
        metavar=("BACK", "FRONT", "SIDE"),
        help="points of the car itself, BACK < x < FRONT and |y| < SIDE, are left out "
        "(default: -2 3 2, KITTI's car; 0 0 0: none)",
    )
    parser.add_argument(
        "--view-stride",
        type=count,
        default=1,
        metavar="N",
        help="take every N-th scan as a viewpoint for .invalid (default: 1, all)",
    )
    parser.add_argument(
        "--drop-moving",
        action="store_true",
        help="leave moving objects out of all scans but the current one (default: traces stay)",
    )
    parser.add_argument(
        "--jobs", type=count, default=os.cpu_count() or 1, help="processes (default: all cores)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    args = parser.parse_args(argv)
    if args.future < 0 or args.past < 0:
        parser.error("--future and --past must not be negative")
    if not 0 <= args.min_range < args.max_range:
        parser.error("--min-range must be at least 0 and below --max-range")
    return args


@lru_cache(maxsize=_CACHED_SCANS)
def _scan(scan_path: Path, label_path: Path) -> tuple[np.ndarray, np.ndarray]:
    from htcl.datasets.scan_files import read_point_labels, read_scan

    points = read_scan(scan_path)
    return points, read_point_labels(label_path, len(points), scan_path)


@lru_cache(maxsize=4)
def _poses(calibration: Path, poses: Path) -> np.ndarray:
    from htcl.datasets.calibration import KittiCalibration, lidar_poses, read_poses

    return lidar_poses(read_poses(poses), KittiCalibration.from_file(calibration))


def convert(
    job: VoxelJob,
    min_range: float,
    max_range: float,
    view_stride: int,
    drop_moving: bool,
    car_box: tuple[float, float, float],
    overwrite: bool,
) -> int:
    """Writes the files of one frame that are absent (all with ``overwrite``).

    Returns:
        How many files were written.

    Raises:
        InvalidValueError: If a file is malformed, or a scan has no pose.
    """
    from htcl.datasets.voxel_files import write_voxel_labels, write_voxel_mask
    from htcl.datasets.voxelizer import LidarScan, voxelize

    poses = _poses(job.calibration, job.poses)
    if max(job.scans) >= len(poses):
        raise InvalidValueError(
            f"{job.poses}: {len(poses)} poses, but scan {max(job.scans)} needs one"
        )
    scans = [LidarScan(*_scan(*paths), poses[index]) for index, paths in job.scans.items()]
    result = voxelize(
        scans,
        poses[job.frame],
        list(job.scans).index(job.frame),
        min_range=min_range,
        max_range=max_range,
        view_stride=view_stride,
        drop_moving=drop_moving,
        car_box=car_box,
    )
    written = 0
    for suffix in _SUFFIXES:
        path = job.output.with_name(job.output.name + suffix)
        if overwrite or not path.exists():
            array = getattr(result, suffix[1:])
            (write_voxel_labels if suffix == ".label" else write_voxel_mask)(path, array)
            written += 1
    return written


def find_jobs(layout: KittiLayout, args: argparse.Namespace) -> tuple[list[VoxelJob], int]:
    """Lists what is to be done.

    Returns:
        The jobs, and the number of frames that are finished already.

    Raises:
        MissingFileError: If a sequence lacks a folder, or no frame was found.
    """
    jobs, finished = [], 0
    for sequence in args.sequences or labelled_sequences(layout):
        folder = layout.folder(sequence, "velodyne")
        labels = layout.folder(sequence, "point_labels")
        available = {int(name): name for name in layout.frames(sequence, "velodyne")}
        wanted = args.frames or [index for index in available if index % args.every == 0]
        output = layout.default_folder(sequence, "voxel_bin")
        if args.out:
            output = Path(args.out) / "sequences" / sequence / "voxels"
        calibration, poses = layout.calibration(sequence), layout.poses(sequence)
        # What is wrong with them is wrong with every frame: it is said once, before any work.
        _poses(calibration, poses)
        for frame in wanted:
            if frame not in available:
                raise MissingFileError(f"{folder / f'{frame:06d}.bin'}: lidar scan file not found")
            target = output / available[frame]
            if not args.overwrite and all(
                target.with_name(target.name + suffix).exists() for suffix in _SUFFIXES
            ):
                finished += 1
                continue
            window = range(frame - args.past, frame + args.future + 1)
            scans = {
                index: (folder / f"{available[index]}.bin", labels / f"{available[index]}.label")
                for index in window
                if index in available
            }
            jobs.append(VoxelJob(frame, scans, calibration, poses, target))
    if not jobs and not finished:
        raise MissingFileError(f"no labelled scan found below {layout.data_root}")
    return jobs, finished


def labelled_sequences(layout: KittiLayout) -> list[str]:
    """Names the sequences that have scans and point labels."""
    found = []
    for sequence in layout.sequences():
        try:
            layout.folder(sequence, "velodyne")
            layout.folder(sequence, "point_labels")
        except MissingFileError:
            continue
        found.append(sequence)
    return found


def voxelize_scans(args: argparse.Namespace) -> int:
    """Makes the ground truth and prints a summary.

    Returns:
        0, or 1 if a frame could not be made.

    Raises:
        MissingFileError: If the data is not where it is looked for.
    """
    from htcl.datasets.frame_jobs import run_jobs

    root = args.data_root or os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT
    try:
        layout = KittiLayout(root, args.velodyne_root, args.lidarseg_root)
        jobs, finished = find_jobs(layout, args)
    except MissingFileError as error:
        hint = "" if args.data_root else f" (give --data-root, or set {ROOT_VARIABLE})"
        raise MissingFileError(f"{error}{hint}") from None
    function = partial(
        convert,
        min_range=args.min_range,
        max_range=args.max_range,
        view_stride=args.view_stride,
        drop_moving=args.drop_moving,
        car_box=tuple(args.car_box),
        overwrite=args.overwrite,
    )
    results = run_jobs(function, jobs, args.jobs, "voxels")
    bad = [result for result in results if result.error]
    written = sum(result.value for result in results if not result.error)
    print(
        f"{len(results) - len(bad)} frames made ({written} files written), {finished} were "
        f"finished, {len(bad)} failed"
    )
    if thin := [job for job in jobs if len(job.scans) < args.past + 1 + args.future]:
        counts = [len(job.scans) - 1 for job in thin]
        print(
            f"note: {len(thin)} of {len(jobs)} frames gathered fewer than the "
            f"{args.past + args.future} other scans that were asked for, {min(counts)} at the "
            f"least ({thin[counts.index(min(counts))].output}): the sequence begins or ends there, "
            "or scans are missing"
        )
    if bad:
        failed = listed([f"{result.job.output}: {result.error}" for result in bad])
        print(f"failed:{failed}", file=sys.stderr)
    return 1 if bad else 0


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return run_tool("voxelize_scans", voxelize_scans, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
