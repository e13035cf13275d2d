"""SemanticKITTI semantic scene completion as an mmengine data set.

Shape letters: T frame.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from mmdet3d.registry import DATASETS
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from htcl.datasets.labels import CLASS_NAMES, PALETTE
from htcl.datasets.layout import SPLITS, KittiLayout

_MAX_LISTED = 20


@DATASETS.register_module()
class SemanticKITTISSC(BaseDataset):
    """Frames of SemanticKITTI with their history, found on disk without any index file.

    A sample before the pipeline is a dict: ``sequence`` ('08'), ``frame`` ('000005'),
    ``frame_index`` (5), ``left_path``, ``right_path``, ``frame_paths`` (T left images, oldest
    first, the last is the current one), ``frame_indices`` (T ints), ``calib_path``, ``poses_path``,
    ``velodyne_path``, ``point_label_path``, ``voxel_label_path``, ``voxel_invalid_path`` and
    ``training_label_paths`` (scale -> .npy path). A path is None where the tree has no such folder
    or file. After the pipeline it is what :class:`htcl.datasets.transforms.PackSSCInputs`
    describes.

    Files are only needed if a transform of the pipeline says so (method ``required_files``); with
    ``check_files`` all of them are looked for when the data set is built, and all missing ones are
    reported together.

    Args:
        data_root: Root of the data, see :class:`KittiLayout`. None takes the environment variable
            ``SEMANTICKITTI_ROOT``.
        velodyne_root: Root of the lidar scans, if elsewhere.
        lidarseg_root: Root of the point labels, if elsewhere.
        label_root: Folder of the training labels, if elsewhere.
        split: 'train' (00-07, 09, 10), 'val' (08), 'trainval' or 'test' (11-21, no labels).
        sequences: Takes these sequences instead of those of the split.
        frames: Which frames are samples: 'voxels' (those with a ``voxels/*.bin``, every fifth scan)
            or 'images' (all of ``image_2``; without ground truth for most).
        num_history: Number of earlier frames, T - 1; 0 gives T = 1.
        history_stride: Distance of the history frames in images (10 Hz). 5 is the released spacing
            (every voxel frame); 1 takes consecutive images. History stays in its sequence and is
            clamped at the first image.
        check_files: Look for all needed files when the data set is built.
        **kwargs: Arguments of ``mmengine.dataset.BaseDataset`` (pipeline, test_mode, indices,
            lazy_init, ...).

    Raises:
        FileNotFoundError: If files or folders are missing; names them.
        ValueError: If an argument is out of range, or a sequence has no sample.
    """

    METAINFO: ClassVar[dict] = {
        "classes": CLASS_NAMES,
        "palette": [tuple(colour) for colour in PALETTE.tolist()],
    }

    def __init__(
        self,
        data_root: str | None = None,
        velodyne_root: str | None = None,
        lidarseg_root: str | None = None,
        label_root: str | None = None,
        split: str = "train",
        sequences: Sequence[str] | None = None,
        frames: str = "voxels",
        num_history: int = 3,
        history_stride: int = 5,
        check_files: bool = True,
        **kwargs,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}, expected one of {sorted(SPLITS)}")
        if frames not in ("voxels", "images"):
            raise ValueError(f"unknown frames {frames!r}, expected 'voxels' or 'images'")
        if num_history < 0 or history_stride < 1:
            raise ValueError(
                "num_history must be >= 0 and history_stride >= 1, "
                f"found {num_history} and {history_stride}"
            )
        self.layout = KittiLayout(data_root, velodyne_root, lidarseg_root, label_root)
        self.split = split
        # `--cfg-options sequences=08` arrives as the number 8.
        self.sequences = tuple(str(name).zfill(2) for name in (sequences or SPLITS[split]))
        self.frames = frames
        self.num_history = num_history
        self.history_stride = history_stride
        self.check_files = check_files
        super().__init__(data_root=str(self.layout.data_root), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Lists the samples of all sequences, in order of sequence and frame."""
        samples, problems = [], []
        for sequence in self.sequences:
            try:
                samples += self._load_sequence(sequence)
            except FileNotFoundError as error:
                problems.append(str(error))
        if problems:
            raise FileNotFoundError(
                f"{len(problems)} of {len(self.sequences)} sequences of {self.layout.data_root} "
                "cannot be used (the key `sequences` selects those that are there):\n  "
                + "\n  ".join(problems)
            )
        if self.check_files:
            self._check(samples)
        return samples

    def _load_sequence(self, sequence: str) -> list[dict]:
        layout = self.layout
        images = layout.frames(sequence, "image_2")
        kind = "voxel_bin" if self.frames == "voxels" else "image_2"
        frames = layout.frames(sequence, kind)
        if not frames or not images:
            raise FileNotFoundError(
                f"sequence {sequence}: {len(frames)} frames in {layout.folder(sequence, kind)} and "
                f"{len(images)} in {layout.folder(sequence, 'image_2')}, expected at least one each"
            )
        first = int(images[0])
        width = len(images[0])
        folders = {
            kind: _optional(layout.folder, sequence, kind)
            for kind in ("image_2", "image_3", "velodyne", "point_labels", "voxel_bin")
        }
        shared = {
            "sequence": sequence,
            "calib_path": str(layout.calibration(sequence)),
            "poses_path": _optional(layout.poses, sequence),
        }

        def path(kind: str, frame: str, suffix: str) -> str | None:
            return folders[kind] and os.path.join(folders[kind], frame + suffix)

        samples = []
        for frame in frames:
            current = int(frame)
            steps = range(self.num_history, -1, -1)
            # A frame before the first image (a cut sequence) keeps its own index, so that the check
            # names its image.
            start = min(first, current)
            indices = [max(current - step * self.history_stride, start) for step in steps]
            names = [f"{index:0{width}d}" for index in indices]
            samples.append(
                {
                    **shared,
                    "frame": frame,
                    "frame_index": current,
                    "frame_indices": indices,
                    "left_path": path("image_2", frame, ".png"),
                    "right_path": path("image_3", frame, ".png"),
                    "frame_paths": [path("image_2", name, ".png") for name in names],
                    "velodyne_path": path("velodyne", frame, ".bin"),
                    "point_label_path": path("point_labels", frame, ".label"),
                    "voxel_label_path": path("voxel_bin", frame, ".label"),
                    "voxel_invalid_path": path("voxel_bin", frame, ".invalid"),
                    "training_label_paths": {
                        scale: str(layout.training_label(sequence, frame, scale))
                        for scale in ("1_1", "1_2", "1_8")
                    },
                }
            )
        return samples

    def _check(self, samples: list[dict]) -> None:
        """Looks for every file that the pipeline needs, listing each folder once."""
        listings: dict[str, frozenset[str]] = {}

        def exists(path: str) -> bool:
            folder, name = os.path.split(path)
            if folder not in listings:
                listings[folder] = frozenset(os.listdir(folder) if os.path.isdir(folder) else ())
            return name in listings[folder]

        missing: dict[str, None] = {}
        transforms = [t for t in self.pipeline.transforms if hasattr(t, "required_files")]
        for sample in samples:
            for transform in transforms:
                for alternatives in transform.required_files(sample):
                    if not any(path and exists(path) for path in alternatives):
                        where = f"sequence {sample['sequence']} frame {sample['frame']}"
                        named = " or ".join(path or "(no such folder)" for path in alternatives)
                        missing[f"{named} ({where}, {type(transform).__name__})"] = None
        if missing:
            listed = "\n  ".join(list(missing)[:_MAX_LISTED])
            more = len(missing) - _MAX_LISTED
            tail = f"\n  ... and {more} more" if more > 0 else ""
            raise FileNotFoundError(
                f"{len(missing)} files are missing below {self.layout.data_root} "
                f"(split {self.split}, sequences {', '.join(self.sequences)}):\n  {listed}{tail}"
            )
        print_log(
            f"SemanticKITTI {self.split}: {len(samples)} frames of sequences "
            f"{', '.join(self.sequences)}, all files found below {self.layout.data_root}",
            logger="current",
        )


def _optional(find, *args: str) -> str | None:
    """Turns "not found" into None: whether the file is needed depends on the pipeline."""
    try:
        found: Path = find(*args)
    except FileNotFoundError:
        return None
    return str(found)
