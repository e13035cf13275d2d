"""Scores folders of ``.label`` files by the rules of a completion benchmark.

Ground truth and prediction are both mapped from raw ids to classes; a voxel is scored if its true
class is known and the ``.invalid`` file has 0 for it (or, by the rule of SSCBench-KITTI-360, if it
has a label).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from htcl.datasets.calibration import KittiCalibration
from htcl.datasets.image_files import image_size
from htcl.datasets.kitti360_layout import Kitti360Layout
from htcl.datasets.kitti360_specification import KITTI360
from htcl.datasets.layout import KittiLayout
from htcl.datasets.plausibility import check_image_size
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.specification import DatasetSpecification
from htcl.datasets.training_labels import make_training_label
from htcl.datasets.voxel_files import read_voxel_labels, read_voxel_mask
from htcl.errors import InvalidValueError, MissingFileError, listed
from htcl.evaluation.regions import Window
from htcl.evaluation.ssc_confusion import confusion_by_region
from htcl.geometry import VoxelGrid, field_of_view


class FramePair(NamedTuple):
    """Files of one frame.

    Attributes:
        name: Sequence and frame, or the frame alone.
        sequence: Sequence, '' for a plain folder.
        truth: Ground truth ``.label``.
        invalid: Mask ``.invalid`` of voxels that are not scored, None to score without.
        prediction: Predicted ``.label``.
    """

    name: str
    sequence: str
    truth: Path
    invalid: Path | None
    prediction: Path


def find_frames(
    truth_dir: str | Path,
    prediction_dir: str | Path,
    sequences: Sequence[str],
    use_invalid: bool = True,
    specification: DatasetSpecification = SEMANTICKITTI,
) -> list[FramePair]:
    """Pairs every ground-truth file with its prediction, sorted by sequence and name.

    Args:
        truth_dir: Data set root with ``sequences/XX/voxels/*.label`` (of KITTI-360 with its
            drives), the ``sequences`` folder itself, or a plain folder of ``.label`` and
            ``.invalid`` files.
        prediction_dir: Root with ``sequences/XX/predictions/*.label``, the ``sequences`` folder
            itself, a root with ``XX/*.label``, or a plain folder of ``.label`` files (then for one
            sequence).
        sequences: Sequences to score; not used for a plain folder of ground truth.
        use_invalid: Whether the ``.invalid`` files are needed.
        specification: The benchmark, which decides the layout of a root.

    Raises:
        MissingFileError: If folders, ground truth, masks or predictions are missing; all missing
            files are counted and the first ones named.
        InvalidValueError: If several sequences would share one plain folder of predictions.
    """
    truth_dir, prediction_dir = Path(truth_dir), Path(prediction_dir)
    for folder in (truth_dir, prediction_dir):
        if not folder.is_dir():
            raise MissingFileError(f"{folder}: no such folder")
    frames = []
    for sequence, folder in _truth_folders(truth_dir, sequences, specification).items():
        truths = sorted(folder.glob("*.label"))
        if not truths:
            raise MissingFileError(f"{folder}: no .label file of ground truth here")
        predictions = _prediction_folder(prediction_dir, sequence, alone=len(sequences) == 1)
        for truth in truths:
            name = f"{sequence}/{truth.stem}" if sequence else truth.stem
            invalid = truth.with_suffix(".invalid") if use_invalid else None
            frames.append(FramePair(name, sequence, truth, invalid, predictions / truth.name))
    _require_files((f.prediction for f in frames), "prediction", len(frames))
    if use_invalid:
        _require_files((f.invalid for f in frames), "mask (.invalid)", len(frames))
    return frames


def score_frame(
    frame: FramePair, specification: DatasetSpecification, regions: Mapping[str, Window]
) -> dict[str, np.ndarray]:
    """Confusion matrices of one frame by region, each (K, K) int64.

    Args:
        frame: The files, on ``specification.stored_grid``.
        specification: What the ids mean.
        regions: Windows of the grid by name, from :mod:`htcl.evaluation.regions`.

    Raises:
        InvalidValueError: If a file has a wrong size, the ground truth an unknown id, or a scored
            voxel's prediction is an id that the benchmark does not score.
    """
    shape, ignored = specification.stored_grid.shape, specification.ignore_index
    invalid = np.zeros(shape, dtype=bool)
    if frame.invalid is not None:
        invalid = read_voxel_mask(frame.invalid, shape)
    raw = read_voxel_labels(frame.truth, shape)
    # An id that is in no map would count as not scored: training ids in the place of raw ones, say.
    truth = make_training_label(raw, invalid, specification, source=frame.truth)
    raw = read_voxel_labels(frame.prediction, shape)
    prediction = specification.voxels_from_raw(raw, source=frame.prediction)
    unscorable = (prediction == ignored) & (truth != ignored)
    if unscorable.any():
        raise InvalidValueError(
            f"{frame.prediction}: {int(unscorable.sum())} scored voxels are predicted as raw ids "
            f"{np.unique(raw[unscorable])[:20].tolist()}, which the benchmark cannot "
            f"score; write only {list(specification.raw_ids)}"
        )
    tensors = torch.from_numpy(prediction), torch.from_numpy(truth)
    return confusion_by_region(*tensors, regions, specification.num_classes, ignored)


def views_of_sequences(
    data_root: str | Path, sequences: Iterable[str], grid: VoxelGrid
) -> dict[str, Tensor]:
    """Which voxels the left colour camera has in view in each sequence, bool (X, Y, Z).

    It is the whole image that counts, of the size of the sequence's first one.

    Args:
        data_root: Data set root with ``sequences/XX/calib.txt`` and ``sequences/XX/image_2``.
        sequences: Which sequences.
        grid: The voxels.

    Raises:
        MissingFileError: If a sequence has no calibration or no image.
        InvalidValueError: If a calibration is unsound.
    """
    layout = KittiLayout(data_root)
    views = {}
    for sequence in sequences:
        calibration = KittiCalibration.from_file(layout.calibration(sequence))
        images = layout.frames(sequence, "image_2")
        if not images:
            raise MissingFileError(f"{layout.folder(sequence, 'image_2')}: no image here")
        size = image_size(next(iter(images.values())))
        check_image_size(calibration.p2, size, f"{layout.calibration(sequence)}: P2")
        cameras = calibration.p2[None], calibration.lidar_from_camera[None]
        views[sequence] = torch.from_numpy(field_of_view(grid, *cameras, size))
    return views


def _truth_folders(
    root: Path, sequences: Sequence[str], specification: DatasetSpecification
) -> dict[str, Path]:
    """Folder of ground truth by sequence; the key of a plain folder is ''."""
    base = _sequences_folder(root)
    if specification.name == KITTI360.name and any(root.glob("*.label")):
        return {"": root}
    if specification.name == KITTI360.name:
        layout = Kitti360Layout(root)
        base = layout.data_root
        folders = {s: layout.folder(s, "voxel_labels") for s in layout.sequences()}
    else:
        folders = {p.parent.name: p for p in sorted(base.glob("*/voxels"))}
    available = {s: folder for s, folder in folders.items() if any(folder.glob("*.label"))}
    if not available:
        return {"": root}
    missing = [s for s in sequences if s not in available]
    if missing:
        raise MissingFileError(
            f"{base}: no voxels/*.label in sequence(s) {', '.join(missing)}; "
            f"labelled sequences here: {', '.join(available)} (choose with --sequences)"
        )
    return {s: available[s] for s in sequences}


def _sequences_folder(root: Path) -> Path:
    return root / "sequences" if (root / "sequences").is_dir() else root


def _prediction_folder(root: Path, sequence: str, alone: bool) -> Path:
    folder = _sequences_folder(root) / sequence / "predictions"
    if sequence and folder.is_dir():
        return folder
    # As tools/infer.py writes them.
    if sequence and any((root / sequence).glob("*.label")):
        return root / sequence
    if any(root.glob("*.label")):
        if sequence and not alone:
            raise InvalidValueError(
                f"{root}: a plain folder of predictions fits one sequence only; use "
                "sequences/XX/predictions/, or score one sequence at a time"
            )
        return root
    if sequence:
        raise MissingFileError(
            f"{folder}: no such folder, and neither {root / sequence} nor {root} holds a .label "
            "file"
        )
    raise MissingFileError(f"{root}: no .label file of predictions here")


def _require_files(paths: Iterable[Path | None], what: str, total: int) -> None:
    missing = [path for path in paths if path is not None and not path.is_file()]
    if missing:
        raise MissingFileError(
            f"{len(missing)} of {total} {what} files are missing; the benchmark scores complete "
            f"splits only:{listed(missing)}"
        )
