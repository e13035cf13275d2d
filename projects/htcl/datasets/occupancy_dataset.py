"""What all benchmarks of semantic occupancy share as mmengine data sets: N camera, T frame."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from htcl.datasets.file_checks import FileCheck, FrameChecks, check_camera, usual_sizes
from htcl.datasets.history import with_history
from htcl.datasets.history_gaps import HistoryGaps
from htcl.datasets.history_spacing import HistorySpacing
from htcl.datasets.image_files import image_size
from htcl.datasets.missing_files import MissingFiles
from htcl.datasets.sample_cache import SampleCache
from htcl.datasets.sample_info import HISTORY_INPUTS, SampleInfo
from htcl.datasets.specification import DatasetSpecification, build_specification
from htcl.errors import InvalidValueError, MissingFileError, UserError, listed

_Content = TypeVar("_Content")


class OccupancyDataset(BaseDataset, ABC):
    """Samples of any number of cameras with their history; a benchmark adds :meth:`list_sequence`.

    A sample before the pipeline is a :class:`~htcl.datasets.sample_info.SampleInfo`, to which
    ``specification``, ``inputs`` and ``with_labels`` are added for the transforms.

    History is counted in frames of the sequence: it never leaves it, and at its start, or after a
    gap (frames are missing from the list, or time or pose jumps), the earliest frame that is left
    stands for those before.

    Args:
        specification: The benchmark's facts, see
            :func:`~htcl.datasets.specification.build_specification`.
        split: One of the specification's.
        sequences: Takes these sequences instead of those of the split: several, or one as a text or
            a number.
        num_history: Number of earlier frames, T - 1.
        history_stride: Distance of the history frames, in frames of the sequence; this and the next
            two are explained at :class:`~htcl.datasets.history_spacing.HistorySpacing`.
        history_metres: Their distance in metres, in place of the stride; it takes poses.
        history_max_frames: How many frames back that looks at most.
        history_gap_seconds: History does not reach back across two neighbouring frames that are
            farther apart in time than this, where times are known; None: whatever the time.
        history_gap_metres: The same of the way between their poses.
        depth_root: Root of the files of external depth, for benchmarks that read some.
        inputs: Names of the inputs that are wanted (``required_inputs`` of the network); None is
            everything that the steps of the pipeline can load.
        augmentations: Steps of a training, before the last one of the pipeline.
        labels: Whether samples have ground truth; None: if the split has.
        check_files: Look for all needed files when the data set is built.
        sample_cache: Folder where loaded samples are kept, as they are before the augmentations
            (:class:`~htcl.datasets.sample_cache.SampleCache`); None loads them each time.
        pipeline: The steps. With a cache, chance belongs in ``augmentations``.
        test_mode: False for training.
        **kwargs: Further arguments of ``mmengine.dataset.BaseDataset``.

    Raises:
        MissingFileError: If files or folders are missing; names them all.
        InvalidValueError: If an argument is out of range.
    """

    # Config key by the name of a folder, for files that may lie elsewhere.
    FOLDER_KEYS: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        specification: DatasetSpecification | str | Mapping[str, Any],
        split: str = "train",
        sequences: Sequence[str | int] | str | int | None = None,
        num_history: int = 0,
        history_stride: int | Sequence[int] = 1,
        history_metres: float | None = None,
        history_max_frames: int = 50,
        history_gap_seconds: float | None = None,
        history_gap_metres: float | None = None,
        depth_root: str | None = None,
        inputs: Collection[str] | None = None,
        augmentations: Sequence[Mapping[str, Any]] = (),
        labels: bool | None = None,
        check_files: bool = True,
        sample_cache: str | None = None,
        pipeline: Sequence[Any] = (),
        test_mode: bool = False,
        **kwargs: Any,
    ) -> None:
        self.specification = build_specification(specification)
        self.sequences = self.specification.select_sequences(split, sequences)
        spacing = HistorySpacing(num_history, history_stride, history_metres, history_max_frames)
        if augmentations and test_mode:
            raise InvalidValueError("augmentations are for training, but test_mode is True")
        self.split = split
        self.inputs = None if inputs is None else frozenset(inputs)
        # What nobody looks at needs no poses to be chosen by.
        looks_back = self.inputs is None or self.inputs & HISTORY_INPUTS
        self.spacing = spacing if looks_back else HistorySpacing()
        self.gaps = HistoryGaps(history_gap_seconds, history_gap_metres)
        self.depth_root = depth_root
        self.with_labels = split in self.specification.label_splits if labels is None else labels
        self.check_files = check_files
        # While files are examined: what was found; see `attempt`.
        self._problems: list[str] | None = None
        metainfo = {
            "classes": self.specification.class_names,
            "palette": [tuple(colour) for colour in self.specification.palette],
            # Plain data: checkpoints hold it.
            "specification": asdict(self.specification),
        }
        steps = [*pipeline[:-1], *augmentations, *pipeline[-1:]]
        super().__init__(metainfo=metainfo, pipeline=steps, test_mode=test_mode, **kwargs)
        if sample_cache is not None:
            loading = slice(len(pipeline) - 1)
            steps = self.pipeline.transforms
            steps[loading] = [SampleCache(sample_cache, steps[loading])]

    @abstractmethod
    def list_sequence(self, sequence: str) -> list[SampleInfo]:
        """Lists the frames of a sequence; MissingFileError if it or a file about it is missing.

        Infos have no history, but ``world_from_camera`` where poses are known and wanted
        (:meth:`wants`, ``spacing.needs_poses``). Frames with ``is_sample=False`` serve as history
        only.
        """

    def attempt(self, read: Callable[..., _Content], *arguments: Any) -> _Content | None:
        """Calls a reader of a file about a whole sequence, for :meth:`list_sequence`.

        What it raises is raised; only while files are examined (:meth:`examine`) it is noted and
        None takes the place of the content, so that the rest is examined too.
        """
        try:
            return read(*arguments)
        except UserError as error:
            if self._problems is None:
                raise
            self._problems.append(str(error))
            return None

    @property
    def examining(self) -> bool:
        """Whether :meth:`examine` is at work: what is optional in a training is missed then."""
        return self._problems is not None

    def examine(self, sequence: str) -> tuple[list[str], list[FileCheck]]:
        """What is wrong with a sequence as a whole, and the checks of its files.

        Everything follows from :meth:`list_sequence`, so that a data set has to do nothing for it;
        one that reads several files about a sequence calls them by :meth:`attempt`.
        """
        self._problems = []
        try:
            frames = self.attempt(self.list_sequence, sequence) or []
            sizes = usual_sizes(frames)
            for camera, size in zip(frames[0]["cameras"] if frames else (), sizes, strict=True):
                if size is not None and camera["intrinsics"] is not None:
                    self.attempt(check_camera, frames[0], camera, size)
            problems = list(dict.fromkeys(self._problems))
        finally:
            self._problems = None
        checks = FrameChecks(
            self.specification,
            self.with_labels,
            with_right=self._looks_at("right", "history_right"),
            with_lidar=self._looks_at("depth_maps", "points"),
            needs_lidar=self.split.startswith("train"),
            sizes=sizes,
        )
        return problems, [
            check for frame in frames for check in (*checks.of(frame), *self.further_checks(frame))
        ]

    def _looks_at(self, *names: str) -> bool:
        return any(self.wants(name) is not False for name in names)

    def further_checks(self, frame: SampleInfo) -> list[FileCheck]:
        """Checks of files that a frame has besides those that its info names."""
        return []

    def wants(self, name: str) -> bool | None:
        """Whether an input is wanted; None: if there is one."""
        return None if self.inputs is None else name in self.inputs

    def depth_files(self, paths: Mapping[str, Path]) -> dict[str, str]:
        """Files of external depth by frame: all if they are wanted, else those that are there."""
        wishes = [self.wants(name) for name in ("depth_prior", "history_depth_prior")]
        if wishes == [False, False]:
            return {}
        return {frame: str(path) for frame, path in paths.items() if any(wishes) or path.is_file()}

    def folder_key(self, folder: str) -> str:
        """The config key that says where the files of a folder lie."""
        return self.FOLDER_KEYS.get(os.path.basename(folder), "data_root")

    def load_data_list(self) -> list[SampleInfo]:
        """Lists the samples of all sequences, in order of sequence and frame."""
        samples: list[SampleInfo] = []
        problems = []
        for sequence in self.sequences:
            try:
                samples += with_history(self.list_sequence(sequence), self.spacing, self.gaps)
            except MissingFileError as error:
                problems.append(str(error))
        if problems:
            raise MissingFileError(
                f"{len(problems)} of {len(self.sequences)} sequences of {self.data_root} "
                "cannot be used (the key `sequences` selects those that are there):"
                f"{listed(problems, len(problems))}"
            )
        if self.check_files:
            self._check_files(samples)
            self._check_cameras(samples)
        return samples

    def prepare_data(self, idx: int) -> Any:
        """Runs the pipeline on a sample."""
        return self.pipeline(self._completed(self.get_data_info(idx)))

    def _completed(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """The info with what the transforms have to know of the data set."""
        facts = {"specification": self.specification, "inputs": self.inputs}
        return {**info, **facts, "with_labels": self.with_labels}

    def say_release(self, count: int) -> None:
        """Says which release of the benchmark has so many samples in the split.

        Nothing if other sequences are chosen than the split's, or no release is known.
        """
        known = self.specification.release_counts.get(self.split, {})
        if not known or set(self.sequences) != set(self.specification.splits[self.split]):
            return
        releases = [release for release, expected in known.items() if expected == count]
        counts = ", ".join(f"{expected} in the {release}" for release, expected in known.items())
        found = (
            f"as in the {' or '.join(releases)}"
            if releases
            else f"as in no known release ({counts}): scores cannot be compared with published ones"
        )
        print_log(
            f"{self.specification.name} {self.split}: {count} frames, {found}",
            logger="current",
            level=logging.INFO if releases else logging.WARNING,
        )

    def _check_cameras(self, samples: Sequence[SampleInfo]) -> None:
        """Checks the cameras of each sequence, and notes the size of their images."""
        sizes: dict[str, list[tuple[int, int]]] = {}
        for sample in samples:
            sequence = sample["sequence"]
            if sequence not in sizes:
                sizes[sequence] = [image_size(camera["image"]) for camera in sample["cameras"]]
                for camera, size in zip(sample["cameras"], sizes[sequence], strict=True):
                    check_camera(sample, camera, size)
            for camera, size in zip(sample["cameras"], sizes[sequence], strict=True):
                camera["image_size"] = size

    def _check_files(self, samples: Sequence[SampleInfo]) -> None:
        """Looks for every file that the pipeline needs."""
        missing = MissingFiles(self.folder_key)
        steps = [step for step in self.pipeline.transforms if hasattr(step, "required_files")]
        for sample in samples:
            for step in steps:
                for alternatives in step.required_files(self._completed(sample)):
                    missing.look_for(alternatives, sample, type(step).__name__)
        where = f"below {self.data_root}"
        chosen = f"sequences {', '.join(self.sequences)}"
        missing.raise_if_any(f"{where} (split {self.split}, {chosen})")
        print_log(
            f"{self.specification.name} {self.split}: {len(samples)} frames of {chosen}, all files "
            f"found {where}",
            logger="current",
        )
