"""Makes training labels (labels/XX/NNNNNN_1_1.npy) from the SemanticKITTI voxel files.

A training label is a uint8 array (256, 256, 32): 0 empty, 1-19 the official classes, 255 not
scored (invalid voxels, and raw classes that the benchmark ignores). Finished files are skipped.

Example:
  python tools/data_converter/make_labels.py --data-root data/kitti --sequences 00 08
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from htcl.datasets.frame_jobs import run_jobs
from htcl.datasets.layout import ROOT_VARIABLE, SPLITS, KittiLayout
from htcl.datasets.training_labels import SCALES, downsample_labels, make_training_label
from htcl.datasets.voxel_files import atomic_write, read_voxel_labels, read_voxel_mask

DEFAULT_ROOT = "data/occupancy/semanticKITTI/RGB"
_MAX_LISTED = 20


class LabelJob(NamedTuple):
    """One frame to convert.

    Attributes:
        raw: The ``.label`` file.
        invalid: The ``.invalid`` file.
        outputs: Scale -> file to write, only those that are not finished.
    """

    raw: Path
    invalid: Path
    outputs: dict[str, Path]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data-root",
        help=f"root of the data (default: ${ROOT_VARIABLE}, else {DEFAULT_ROOT})",
    )
    parser.add_argument("--lidarseg-root", help="further root to look for voxels in")
    parser.add_argument(
        "--out",
        "--label-root",
        dest="out",
        help="folder to write to (default: labels/ beside the sequences folder)",
    )
    parser.add_argument(
        "--sequences",
        nargs="+",
        metavar="XX",
        help="sequences (default: those of 00-10 that have voxel labels)",
    )
    parser.add_argument(
        "--scales", nargs="+", choices=sorted(SCALES), default=["1_1"], help="default: 1_1"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)"
    )
    parser.add_argument("--overwrite", action="store_true", help="make finished files anew")
    parser.add_argument(
        "--allow-unknown",
        action="store_true",
        help="unknown raw ids become 255 instead of an error",
    )
    args = parser.parse_args(argv)
    if args.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {args.jobs}")
    return args


def convert(job: LabelJob, strict: bool) -> int:
    """Writes the labels of one frame.

    Returns:
        How many files were written.
    """
    labels = make_training_label(
        read_voxel_labels(job.raw), read_voxel_mask(job.invalid), strict=strict, source=job.raw
    )
    for scale, path in job.outputs.items():
        with atomic_write(path) as file:
            np.save(file, downsample_labels(labels, SCALES[scale]))
    return len(job.outputs)


def find_jobs(
    layout: KittiLayout, sequences: list[str], scales: list[str], overwrite: bool
) -> tuple[list[LabelJob], int]:
    """Lists what is to be done.

    Returns:
        The jobs, and the number of files that are finished already.
    """
    jobs, finished = [], 0
    for sequence in sequences:
        for frame in layout.frames(sequence, "voxel_labels"):
            paths = {scale: layout.training_label(sequence, frame, scale) for scale in scales}
            todo = {scale: path for scale, path in paths.items() if overwrite or not path.exists()}
            finished += len(paths) - len(todo)
            if todo:
                raw = layout.file(sequence, "voxel_labels", frame)
                jobs.append(LabelJob(raw, raw.with_suffix(".invalid"), todo))
    return jobs, finished


def select_sequences(layout: KittiLayout, wanted: list[str] | None) -> list[str]:
    """Takes the wanted sequences, or all labelled ones that have voxel labels.

    Raises:
        FileNotFoundError: If a wanted sequence, or every sequence, has none.
    """
    found = []
    for sequence in wanted or SPLITS["trainval"]:
        try:
            frames = layout.frames(sequence, "voxel_labels")
        except FileNotFoundError:
            if wanted:
                raise
            continue
        if frames:
            found.append(sequence)
        elif wanted:
            folder = layout.folder(sequence, "voxel_labels")
            raise FileNotFoundError(f"sequence {sequence}: no .label file in {folder}")
    if not found:
        raise FileNotFoundError(
            f"no sequence of {', '.join(SPLITS['trainval'])} below {layout.data_root} has "
            "voxels/*.label; unpack the SemanticKITTI voxel data there, or give --data-root"
        )
    return found


def main(argv: list[str] | None = None) -> int:
    """Converts the frames and prints a summary.

    Returns:
        0, or 1 if a frame could not be converted.
    """
    args = parse_args(argv)
    root = args.data_root or os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT
    try:
        layout = KittiLayout(root, lidarseg_root=args.lidarseg_root, label_root=args.out)
        sequences = select_sequences(layout, args.sequences)
    except FileNotFoundError as error:
        hint = "" if args.data_root else f" (give --data-root, or set {ROOT_VARIABLE})"
        print(f"make_labels: {error}{hint}", file=sys.stderr)
        return 1
    jobs, finished = find_jobs(layout, sequences, args.scales, args.overwrite)
    results = run_jobs(
        partial(convert, strict=not args.allow_unknown), jobs, args.jobs, "training labels"
    )
    bad = [result for result in results if result.error]
    written = sum(result.value for result in results if not result.error)
    print(
        f"sequences {', '.join(sequences)}: {written} files written, {finished} were finished, "
        f"{len(bad)} frames failed; labels lie in {layout.label_root}"
    )
    for sequence in sequences:
        absent = set(layout.frames(sequence, "voxel_bin")) - set(
            layout.frames(sequence, "voxel_labels")
        )
        if absent:
            print(
                f"note: sequence {sequence}: {len(absent)} frames have a .bin but no .label, "
                f"the first is {min(absent)}"
            )
    for result in bad[:_MAX_LISTED]:
        print(f"failed: {result.job.raw}: {result.error}", file=sys.stderr)
    if len(bad) > _MAX_LISTED:
        print(f"... and {len(bad) - _MAX_LISTED} more", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
