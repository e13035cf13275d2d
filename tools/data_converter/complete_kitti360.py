r"""Adds to a copy of SSCBench-KITTI-360 what it lacks, from a copy of KITTI-360 itself.

Right images (image_01/data_rect) and poses (cam0_to_world.txt), with --lidar also the scans of the
frames with voxels (velodyne), and the calibration, all by the benchmark's own frame numbers. Which
frame is which says a frame map (lines "2013_05_28_drive_0000_sync 0000000009.png 000000.png"), that
of --frame-map, or what is found by comparing the left images of both copies, in order, which reads
them all. It is kept as frame_numbers.txt in the folder of each drive, where history needs it too.

Finished files are kept: an interrupted run goes on where it was. What KITTI-360's copy lacks is
named at the end; everything else is there then.

Examples:
  python tools/data_converter/complete_kitti360.py --data-root data/kitti360 \
      --original /datasets/KITTI-360 --frame-map kitti_360_match.txt --lidar
  python tools/data_converter/complete_kitti360.py --data-root data/kitti360 \
      --original /datasets/KITTI-360 --sequences 06 09 --link
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from htcl.command_line import count, run_tool, tool_parser
from htcl.errors import InvalidValueError, MissingFileError, listed
from htcl.files import atomic_write

if TYPE_CHECKING:
    import numpy as np

    from htcl.datasets.kitti360_layout import Kitti360Layout

DEFAULT_ROOT, ROOT_VARIABLE = "data/kitti360", "KITTI360_ROOT"
# Below KITTI-360's root, by what the files become.
_IMAGES, _POSES, _SCANS = "data_2d_raw", "data_poses", "data_3d_raw"
_CALIBRATION = ("perspective.txt", "calib_cam_to_velo.txt", "calib_cam_to_pose.txt")


class CopyJob(NamedTuple):
    """A file of KITTI-360 and its place in the benchmark's copy."""

    source: Path
    target: Path


class NumberJob(NamedTuple):
    """The left images of one drive, in order: the benchmark's, and KITTI-360's by number."""

    sequence: str
    own: list[Path]
    theirs: dict[int, Path]
    target: Path


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument(
        "--data-root",
        help=f"root of the benchmark's copy (default: ${ROOT_VARIABLE}, else {DEFAULT_ROOT})",
    )
    parser.add_argument(
        "--original",
        type=Path,
        required=True,
        metavar="ROOT",
        help="root of KITTI-360: data_2d_raw/, data_poses/, calibration/ and, for --lidar, "
        "data_3d_raw/",
    )
    parser.add_argument(
        "--frame-map", type=Path, metavar="FILE", help="text, .xz compressed or not"
    )
    parser.add_argument(
        "--sequences", nargs="+", metavar="NN", help="drives, e.g. 00 09 (default: all in the copy)"
    )
    parser.add_argument("--lidar", action="store_true", help="also the scans, for training")
    parser.add_argument(
        "--link", action="store_true", help="symbolic links instead of copies of images and scans"
    )
    parser.add_argument(
        "--jobs", type=count, default=os.cpu_count() or 1, help="processes (default: all cores)"
    )
    return parser.parse_args(argv)


def frame_numbers(layout: Kitti360Layout, sequences: list[str], args: argparse.Namespace) -> None:
    """Writes the ``frame_numbers.txt`` of the drives that have none, from map or images.

    Raises:
        MissingFileError: If a drive has no left images to compare with.
        InvalidValueError: If the map lacks a drive or frames of it, or images have no equal ones.
    """
    from htcl.datasets.frame_jobs import run_jobs
    from htcl.datasets.kitti360_frames import read_frame_numbers, write_frame_numbers
    from htcl.datasets.kitti360_layout import FRAME_NUMBERS, drive_name
    from htcl.datasets.layout import list_frames

    known = read_frame_numbers(args.frame_map) if args.frame_map else {}
    jobs = []
    for sequence in sequences:
        target = layout.drive(sequence) / FRAME_NUMBERS
        own = list(layout.frames(sequence, "image_00").values())
        if known:
            found = len(known.get(sequence, ()))
            if found < len(own):
                raise InvalidValueError(
                    f"{args.frame_map}: {found} frames of drive {sequence}, but "
                    f"{own[0].parent} has {len(own)} images"
                )
            write_frame_numbers(target, sequence, known[sequence])
        elif not target.is_file():
            folder = args.original / _IMAGES / drive_name(sequence) / "image_00/data_rect"
            if not folder.is_dir():
                raise MissingFileError(
                    f"{folder}: no such folder to compare images with; give --frame-map instead"
                )
            theirs = {int(name): path for name, path in list_frames(folder, (".png",)).items()}
            jobs.append(NumberJob(sequence, own, theirs, target))
    _raise_failed(run_jobs(_find_numbers, jobs, args.jobs, "comparing left images"))


def _find_numbers(job: NumberJob) -> None:
    from htcl.datasets.kitti360_frames import match_frames, write_frame_numbers

    write_frame_numbers(job.target, job.sequence, match_frames(job.own, job.theirs))


def write_poses(
    layout: Kitti360Layout, sequence: str, numbers: np.ndarray, original: Path
) -> list[str]:
    """Writes the poses of a drive by its own numbers; returns what is missing for it."""
    from htcl.datasets.kitti360_calibration import (
        Kitti360Calibration,
        read_numbered_poses,
        write_numbered_poses,
    )
    from htcl.datasets.kitti360_layout import CAMERA_POSES, drive_name

    target = layout.drive(sequence) / CAMERA_POSES
    folder = original / _POSES / drive_name(sequence)
    if target.is_file():
        return []
    source = folder / CAMERA_POSES
    if source.is_file():
        rows, poses = read_numbered_poses(source)
    elif (folder / "poses.txt").is_file():
        source = folder / "poses.txt"
        rows, poses = read_numbered_poses(source)
        calibration = Kitti360Calibration.from_folder(layout.calibration)
        poses = calibration.camera_poses(poses, source)
    else:
        return [f"{source} (or poses.txt)"]
    if absent := sorted(set(numbers.tolist()) - set(rows.tolist())):
        return [f"{source}: row of frame {number}" for number in absent]
    # Rows rise.
    write_numbered_poses(target, poses[rows.searchsorted(numbers)])
    return []


def copy_jobs(
    layout: Kitti360Layout, sequence: str, numbers: np.ndarray, args: argparse.Namespace
) -> list[CopyJob]:
    """Lists the right images, and scans if wanted, of a drive."""
    from htcl.datasets.kitti360_layout import drive_name

    name = drive_name(sequence)
    left = layout.frames(sequence, "image_00")
    rights = args.original / _IMAGES / name / "image_01/data_rect"
    folder = layout.folder(sequence, "image_01")
    jobs = [
        CopyJob(rights / f"{numbers[int(frame)]:010d}.png", folder / f"{frame}.png")
        for frame in left
    ]
    if args.lidar:
        scans = args.original / _SCANS / name / "velodyne_points/data"
        folder = layout.folder(sequence, "velodyne")
        jobs += [
            CopyJob(scans / f"{numbers[int(frame)]:010d}.bin", folder / f"{frame}.bin")
            for frame in layout.frames(sequence, "voxel_bin")
        ]
    return jobs


def place(job: CopyJob, link: bool) -> None:
    """Copies or links a file; it appears under its name when it is complete."""
    job.target.parent.mkdir(parents=True, exist_ok=True)
    if link:
        job.target.symlink_to(job.source.resolve())
        return
    with job.source.open("rb") as source, atomic_write(job.target) as target:
        shutil.copyfileobj(source, target)


def complete(args: argparse.Namespace) -> None:
    """Adds what is missing and says what was done.

    Raises:
        MissingFileError: If a copy is not where it is said to be; at the end, if KITTI-360's copy
            lacks files; they are counted and the first ones named.
        InvalidValueError: If frame numbers or poses are unsound.
    """
    from htcl.datasets.frame_jobs import run_jobs
    from htcl.datasets.kitti360_frames import read_frame_numbers
    from htcl.datasets.kitti360_layout import FRAME_NUMBERS, Kitti360Layout

    layout = Kitti360Layout(args.data_root or os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT)
    if not args.original.is_dir():
        raise MissingFileError(f"{args.original}: no such folder of KITTI-360")
    sequences = [name.zfill(2) for name in args.sequences or layout.sequences()]
    frame_numbers(layout, sequences, args)
    calibration = [
        CopyJob(args.original / "calibration" / name, layout.calibration / name)
        for name in _CALIBRATION
    ]
    missing = _copy_small(calibration)
    jobs: list[CopyJob] = []
    for sequence in sequences:
        numbers = read_frame_numbers(layout.drive(sequence) / FRAME_NUMBERS)[sequence]
        missing += write_poses(layout, sequence, numbers, args.original)
        jobs += copy_jobs(layout, sequence, numbers, args)
    todo = [job for job in jobs if not job.target.exists()]
    there = [job for job in todo if job.source.is_file()]
    missing += [str(job.source) for job in todo if not job.source.is_file()]
    _raise_failed(run_jobs(partial(place, link=args.link), there, args.jobs, "images and scans"))
    print(
        f"drives {', '.join(sequences)}: {len(there)} files added, {len(jobs) - len(todo)} were "
        f"there, {len(missing)} missing"
    )
    if missing:
        raise MissingFileError(
            f"{args.original} lacks {len(missing)} files or rows; all others are in place "
            f"(training does without a few right images):{listed(missing)}"
        )


def _copy_small(jobs: list[CopyJob]) -> list[str]:
    """Copies the files that are not there yet; names the sources that do not exist."""
    todo = [job for job in jobs if not job.target.is_file()]
    for job in todo:
        if job.source.is_file():
            place(job, link=False)
    return [str(job.source) for job in todo if not job.source.is_file()]


def _raise_failed(results: list) -> None:
    failed = [result.error for result in results if result.error]
    if failed:
        raise InvalidValueError(f"{len(failed)} jobs failed:{listed(failed)}")


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return run_tool("complete_kitti360", complete, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
