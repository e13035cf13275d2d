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
from typing import TYPE_CHECKING, NamedTuple

from htcl.command_line import count, run_tool, tool_parser
from htcl.datasets.layout import ROOT_VARIABLE, KittiLayout
from htcl.errors import MissingFileError, listed
from htcl.files import atomic_write

if TYPE_CHECKING:
    from htcl.datasets.specification import DatasetSpecification

DEFAULT_ROOT = "data/occupancy/semanticKITTI/RGB"
_SCALES = ("1_1", "1_2", "1_8")


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
    parser = tool_parser(__doc__)
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
        "--scales", nargs="+", choices=_SCALES, default=["1_1"], help="default: 1_1"
    )
    parser.add_argument(
        "--jobs", type=count, default=os.cpu_count() or 1, help="processes (default: all cores)"
    )
    parser.add_argument("--overwrite", action="store_true", help="make finished files anew")
    parser.add_argument(
        "--allow-unknown",
        action="store_true",
        help="unknown raw ids become 255 instead of an error",
    )
    return parser.parse_args(argv)


def convert(job: LabelJob, strict: bool) -> int:
    """Writes the labels of one frame.

    Returns:
        How many files were written.
    """
    import numpy as np

    from htcl.datasets.semantickitti_specification import SEMANTICKITTI
    from htcl.datasets.training_labels import SCALES, downsample_labels, make_training_label
    from htcl.datasets.voxel_files import read_voxel_labels, read_voxel_mask

    labels = make_training_label(
        read_voxel_labels(job.raw),
        read_voxel_mask(job.invalid),
        SEMANTICKITTI,
        strict=strict,
        source=job.raw,
    )
    for scale, path in job.outputs.items():
        with atomic_write(path) as file:
            np.save(file, downsample_labels(labels, SCALES[scale], SEMANTICKITTI))
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
        for frame, raw in layout.frames(sequence, "voxel_labels").items():
            paths = {scale: layout.training_label(sequence, frame, scale) for scale in scales}
            todo = {scale: path for scale, path in paths.items() if overwrite or not path.exists()}
            finished += len(paths) - len(todo)
            if todo:
                jobs.append(LabelJob(raw, raw.with_suffix(".invalid"), todo))
    return jobs, finished


def select_sequences(
    layout: KittiLayout, wanted: list[str] | None, specification: DatasetSpecification
) -> list[str]:
    """Takes the wanted sequences, or all labelled ones that have voxel labels.

    Raises:
        MissingFileError: If a wanted sequence, or every sequence, has none.
    """
    found = []
    candidates = specification.select_sequences("trainval", wanted)
    for sequence in candidates:
        try:
            frames = layout.frames(sequence, "voxel_labels")
        except MissingFileError:
            if wanted:
                raise
            continue
        if frames:
            found.append(sequence)
        elif wanted:
            folder = layout.folder(sequence, "voxel_labels")
            raise MissingFileError(f"sequence {sequence}: no .label file in {folder}")
    if not found:
        raise MissingFileError(
            f"no sequence of {', '.join(candidates)} below {layout.data_root} has "
            "voxels/*.label; unpack the SemanticKITTI voxel data there, or give --data-root"
        )
    return found


def make_labels(args: argparse.Namespace) -> int:
    """Converts the frames and prints a summary.

    Returns:
        0, or 1 if a frame could not be converted.

    Raises:
        MissingFileError: If the data is not where it is looked for.
    """
    from htcl.datasets.frame_jobs import run_jobs
    from htcl.datasets.semantickitti_specification import SEMANTICKITTI

    root = args.data_root or os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT
    try:
        layout = KittiLayout(root, lidarseg_root=args.lidarseg_root, label_root=args.out)
    except MissingFileError as error:
        hint = "" if args.data_root else f" (give --data-root, or set {ROOT_VARIABLE})"
        raise MissingFileError(f"{error}{hint}") from None
    sequences = select_sequences(layout, args.sequences, SEMANTICKITTI)
    jobs, finished = find_jobs(layout, sequences, args.scales, args.overwrite)
    function = partial(convert, strict=not args.allow_unknown)
    results = run_jobs(function, jobs, args.jobs, "training labels")
    bad = [result for result in results if result.error]
    written = sum(result.value for result in results if not result.error)
    print(
        f"sequences {', '.join(sequences)}: {written} files written, {finished} were finished, "
        f"{len(bad)} frames failed; labels lie in {layout.label_root}"
    )
    for sequence in sequences:
        made = layout.frames(sequence, "voxel_labels")
        absent = [frame for frame in layout.frames(sequence, "voxel_bin") if frame not in made]
        if absent:
            print(
                f"note: sequence {sequence}: {len(absent)} frames have a .bin but no .label, "
                f"the first is {absent[0]}"
            )
    if bad:
        failed = listed([f"{result.job.raw}: {result.error}" for result in bad])
        print(f"failed:{failed}", file=sys.stderr)
    return 1 if bad else 0


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return run_tool("make_labels", make_labels, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
