"""Submission files of SemanticKITTI's completion benchmark: collect, zip and check.

The rules are those of the benchmark's ``validate_submission.py --task completion``: the name ends
in ``.zip``; the archive holds the folders ``sequences/``, ``sequences/XX/`` and
``sequences/XX/predictions/`` as entries of their own; one ``predictions/NNNNNN.label`` of 4,194,304
bytes for every ``voxels/NNNNNN.bin`` of the test sequences; and nothing else but, optionally,
``description.txt``. Values must be the raw ids of the benchmark's inverse learning map, which are
those of the specification's classes: its evaluation stops at others.

A set of expected frames is a mapping of sequence to frame names, such as ``{"11": ["000000"]}``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from htcl.datasets.layout import KittiLayout
from htcl.datasets.specification import DatasetSpecification
from htcl.errors import InvalidValueError, MissingFileError, listed
from htcl.files import atomic_write, existing, plain_name, read_bytes

DESCRIPTION = "description.txt"

Frames = Mapping[str, Sequence[str]]


def expected_frames(layout: KittiLayout, sequences: Iterable[str]) -> Frames:
    """The frames that the server wants, by ``voxels/*.bin``; MissingFileError if there is none."""
    frames = {sequence: list(layout.frames(sequence, "voxel_bin")) for sequence in sequences}
    empty = [sequence for sequence, names in frames.items() if not names]
    if empty:
        raise MissingFileError(
            f"no voxels/*.bin in sequences {', '.join(empty)} of {layout.data_root}: they say "
            "which frames the server wants; unpack the SemanticKITTI voxel download of the test "
            "sequences"
        )
    return frames


def label_path(folder: str | Path, sequence: str, frame: str) -> Path:
    """Where the prediction of a frame lies below a work folder; its names are plain names."""
    for what, name in (("sequence", sequence), ("frame", frame)):
        plain_name(name, what)
    return Path(folder) / _entry(sequence, frame)


def unfinished(
    folder: str | Path, frames: Frames, specification: DatasetSpecification
) -> list[tuple[str, str]]:
    """Lists (sequence, frame) of the predictions that are absent or have the wrong size."""
    size = _label_bytes(specification)
    paths = {pair: label_path(folder, *pair) for pair in _pairs(frames)}
    finished = {pair for pair, p in paths.items() if p.is_file() and p.stat().st_size == size}
    return [pair for pair in paths if pair not in finished]


def write_submission(
    folder: str | Path,
    target: str | Path,
    frames: Frames,
    specification: DatasetSpecification,
    description: str | None = None,
    on_frame: Callable[[], object] = lambda: None,
) -> Path:
    """Zips the predictions of a work folder; returns the archive's path.

    Args:
        folder: Holds ``sequences/XX/predictions/NNNNNN.label``.
        target: The archive; it appears under its name when it is complete.
        frames: What the server wants.
        specification: The benchmark's.
        description: Text of ``description.txt``.
        on_frame: Called after each frame, for a progress bar.

    Raises:
        MissingFileError: If predictions are missing or cut short; they are counted and the first
            ones named, and nothing is written.
        InvalidValueError: If the name does not end in ``.zip``.
    """
    target = Path(target)
    if target.suffix != ".zip":
        raise InvalidValueError(f"{target}: the name of a submission must end in .zip")
    missing = unfinished(folder, frames, specification)
    if missing:
        raise MissingFileError(
            f"{len(missing)} of {len(_pairs(frames))} predictions are missing below {folder}, so "
            f"{target} is not written:{listed([_entry(*name) for name in missing])}"
        )
    with (
        atomic_write(target) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):
        for name in _folders(frames):
            archive.mkdir(name, 0o755)
        if description is not None:
            archive.writestr(_file_info(DESCRIPTION), description)
        for pair in _pairs(frames):
            archive.writestr(
                _file_info(_entry(*pair)), read_bytes(label_path(folder, *pair), "prediction")
            )
            on_frame()
    return target


def check_submission(
    path: str | Path,
    specification: DatasetSpecification,
    frames: Frames | None = None,
    sequences: Sequence[str] = (),
    on_frame: Callable[[], object] = lambda: None,
) -> list[str]:
    """Checks an archive by the server's rules; returns a line for each fault.

    Args:
        path: The archive.
        specification: The benchmark's.
        frames: What the server wants; None checks everything else, for lack of the data.
        sequences: The sequences, if ``frames`` is None; by default those of the split ``test``.
        on_frame: Called after each label file, for a progress bar.

    Raises:
        MissingFileError: If there is no such file.
    """
    path = existing(path, "submission")
    problems = [] if path.suffix == ".zip" else [f"{path.name}: the name must end in .zip"]
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            names = sequences or specification.splits["test"]
            wanted = frames if frames is not None else dict.fromkeys(names, ())
            problems += _check_names(entries, wanted, frames is None)
            for info in entries:
                if info.filename.endswith(".label"):
                    problems += _check_label(archive, info, specification)
                    on_frame()
    # A damaged archive makes zipfile and its decompressors raise a dozen unrelated types.
    except Exception as error:
        reason = str(error) or type(error).__name__
        problems.append(f"{path.name}: not a readable zip archive: {reason}; make or copy it anew")
    return problems


def _check_names(entries: Sequence[zipfile.ZipInfo], frames: Frames, any_frame: bool) -> list[str]:
    """Compares the entries with what is wanted; ``any_frame`` allows every label file."""
    found = [info.filename for info in entries]
    folders = set(_folders(frames))
    labels = {_entry(*pair) for pair in _pairs(frames)}
    problems = [f"missing folder entry {name}" for name in sorted(folders - set(found))]
    problems += [f"missing {name}" for name in sorted(labels - set(found))]
    seen = set()
    for name in found:
        if name in seen:
            problems.append(f"{name} is there twice")
        seen.add(name)
        parent, _, leaf = name.rpartition("/")
        is_label = leaf.endswith(".label") and leaf.removesuffix(".label").isdigit()
        loose = any_frame and f"{parent}/" in folders and is_label
        if name not in folders | labels | {DESCRIPTION} and not loose:
            problems.append(f"{name} does not belong into a submission")
    if any_frame:
        for folder in sorted(name for name in folders if name.endswith("/predictions/")):
            if not any(name.startswith(folder) and name != folder for name in found):
                problems.append(f"{folder} holds no prediction")
    return problems


def _check_label(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, specification: DatasetSpecification
) -> list[str]:
    expected = _label_bytes(specification)
    if info.file_size != expected:
        return [f"{info.filename} has {info.file_size} bytes, expected {expected}"]
    # Reading also compares the check sum.
    values = np.frombuffer(archive.read(info), dtype="<u2")
    unknown = np.setdiff1d(np.flatnonzero(np.bincount(values)), specification.raw_ids)
    if len(unknown):
        return [
            f"{info.filename} holds ids {unknown[:5].tolist()}, which the evaluation refuses; "
            f"allowed are {list(specification.raw_ids)}"
        ]
    return []


def _pairs(frames: Frames) -> list[tuple[str, str]]:
    return [(sequence, frame) for sequence, names in frames.items() for frame in names]


def _entry(sequence: str, frame: str) -> str:
    return f"sequences/{sequence}/predictions/{frame}.label"


def _folders(sequences: Iterable[str]) -> list[str]:
    names = ["sequences/"]
    for sequence in sequences:
        names += [f"sequences/{sequence}/", f"sequences/{sequence}/predictions/"]
    return names


def _file_info(name: str) -> zipfile.ZipInfo:
    # All entries carry ZipInfo's own time, so that equal predictions make equal archives.
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o100644 << 16
    return info


def _label_bytes(specification: DatasetSpecification) -> int:
    return 2 * specification.stored_grid.num_voxels
