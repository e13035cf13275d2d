"""What the benchmarks on nuScenes share: six cameras, from the tables to samples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from htcl.datasets.nuscenes_frames import CAMERAS, LIDAR_COLUMNS, Moment
from htcl.datasets.nuscenes_tables import NuScenesTables, read_splits
from htcl.datasets.occupancy_dataset import OccupancyDataset
from htcl.datasets.plausibility import check_mounting
from htcl.datasets.sample_info import CameraInfo, SampleInfo
from htcl.datasets.specification import build_specification
from htcl.errors import InvalidValueError, MissingFileError, check_choice, listed

# Versions whose scenes are those of the official splits.
_OFFICIAL = ("v1.0-trainval", "v1.0-mini", "v1.0-test")
_MINI = "v1.0-mini"
_HISTORY = ("key_frames", "sweeps")


class NuScenesDataset(OccupancyDataset):
    """Key frames of nuScenes with their history, from the tables as they come.

    A sequence is a scene, a frame is the token of a sample. Cameras and lidar fire at different
    times while the car moves: ``reference_from_camera`` holds the ego poses of both, and history
    follows each camera's own. Scenes are 20 s and have nothing before them, so history never leaves
    one.

    Args:
        data_root: Folder of nuScenes, with ``samples`` and the tables' folder.
        specification: The benchmark's; one without splits gets those of nuScenes, or of a
            ``splits.json`` beside the tables.
        version: Folder of the tables; None: the one of 'v1.0-trainval', 'v1.0-mini' (for the split
            'test' 'v1.0-test') and any other that is there, in this order.
        label_root: Folder of the labels, if elsewhere.
        history_frames: 'key_frames' counts history in key frames (2 Hz), 'sweeps' in pictures of
            the cameras (12 Hz), which takes the folder ``sweeps``.
        num_history: Number of earlier frames, T - 1.
        history_stride: Distance of the history frames, in those frames, or a list of distances.
        history_gap_seconds, history_gap_metres: Between neighbouring frames, where history ends.
        **kwargs: Arguments of :class:`OccupancyDataset`.

    Raises:
        MissingFileError: If tables, scenes or files are missing; names them.
        InvalidValueError: If an argument is out of range, or the tables are unsound.
    """

    def __init__(
        self,
        data_root: str | None = None,
        specification: Any = None,
        split: str = "train",
        sequences: Sequence[str | int] | str | int | None = None,
        version: str | None = None,
        label_root: str | None = None,
        history_frames: str = "key_frames",
        num_history: int = 3,
        history_stride: int | Sequence[int] = 1,
        history_gap_seconds: float | None = 1.5,
        history_gap_metres: float | None = 30.0,
        **kwargs: Any,
    ) -> None:
        check_choice("history_frames", history_frames, _HISTORY)
        if not data_root or not Path(data_root).is_dir():
            raise MissingFileError(
                f"{data_root}: no such folder; nuScenes is expected there (key data_root, or the "
                "environment variable NUSCENES_ROOT)"
            )
        self.version = version or _find_version(Path(data_root), split)
        self.label_root = Path(label_root) if label_root else self.find_labels(Path(data_root))
        self._sweeps = history_frames == "sweeps"
        facts = build_specification(specification)
        if not facts.splits:
            facts = replace(facts, splits=self.list_splits(Path(data_root)))
        super().__init__(
            facts,
            split=split,
            sequences=sequences,
            num_history=num_history,
            history_stride=history_stride,
            history_gap_seconds=history_gap_seconds,
            history_gap_metres=history_gap_metres,
            data_root=data_root,
            **kwargs,
        )

    @abstractmethod
    def find_labels(self, root: Path) -> Path:
        """Where the labels are looked for without a ``label_root``."""

    @abstractmethod
    def label_entry(self, moment: Moment) -> dict[str, str]:
        """``labels`` of a key frame: the ``file`` and its ``format``."""

    @abstractmethod
    def world_from_reference(self, moment: Moment) -> np.ndarray:
        """Pose (4, 4) of the grid's frame in a key frame."""

    def list_splits(self, root: Path) -> Mapping[str, tuple[str, ...]]:
        """Scenes of each split of the version."""
        return _splits(root, self.version)

    @cached_property
    def tables(self) -> NuScenesTables:
        """The tables, read when they are first needed."""
        return NuScenesTables(str(self.data_root), self.version, self._sweeps, self.sequences)

    def load_data_list(self) -> list[SampleInfo]:
        """Lists the samples of all scenes, in order of scene and time."""
        self.check_scenes()
        samples = super().load_data_list()
        self.say_release(len(samples))
        # They are large, and what they say is listed.
        self.__dict__.pop("tables", None)
        return samples

    def check_scenes(self) -> None:
        """Raises MissingFileError if scenes of the split are not in the tables, naming them."""
        absent = [name for name in self.sequences if name not in self.tables.scenes]
        if absent:
            raise MissingFileError(
                f"{self.tables.path_of('scene')}: {len(absent)} of the {len(self.sequences)} "
                f"scenes of the split {self.split} are not in the tables, which have "
                f"{len(self.tables.scenes)}: another version may be meant (key `version`), or "
                f"fewer scenes (key `sequences`):{listed(absent, 5)}"
            )

    def folder_key(self, folder: str) -> str:
        """The config key that says where the files of a folder lie."""
        return "label_root" if Path(folder).is_relative_to(self.label_root) else "data_root"

    def scene_moments(self, sequence: str) -> list[tuple[Moment, bool]]:
        """The moments of a scene in order of time, and whether each is a key frame."""
        return self.tables.moments(sequence)

    def list_sequence(self, sequence: str) -> list[SampleInfo]:
        """Lists the key frames of a scene, and with sweeps the pictures between them."""
        return [
            self._info(moment, index, is_key)
            for index, (moment, is_key) in enumerate(self.scene_moments(sequence))
        ]

    def _info(self, moment: Moment, index: int, is_key: bool) -> SampleInfo:
        root = Path(str(self.data_root))
        reference = self.world_from_reference(moment) if is_key else np.eye(4)
        world = np.linalg.inv(reference)
        cameras = []
        for name in CAMERAS:
            reading = moment.cameras[name]
            mounting = world @ reading.world_from_sensor
            if is_key:
                # Each frame has matrices of its own, made of the poses of two moments.
                check_mounting(
                    mounting, f"{self.source()}: scene {moment.scene} frame {moment.token} {name}"
                )
            camera = CameraInfo(
                name=name,
                image=str(root / reading.file),
                intrinsics=reading.intrinsics,  # type: ignore[typeddict-item]  # cameras have some
                reference_from_camera=mounting,
                world_from_camera=reading.world_from_sensor,
            )
            cameras.append(camera)
        info = SampleInfo(
            sequence=moment.scene,
            frame=moment.token,
            frame_index=index,
            is_sample=is_key,
            time=moment.time,
            cameras=cameras,
            lidar=None,
            lidar_labels=None,
            labels={},
            calib_path=self.source(),
            poses_path=self.source(),
        )
        if is_key and moment.lidar is not None:
            info["lidar"] = str(root / moment.lidar.file)
            info["lidar_columns"] = LIDAR_COLUMNS
            info["reference_from_lidar"] = world @ moment.lidar.world_from_sensor
            if self.with_labels:
                info["labels"] = self.label_entry(moment)
        return info

    def source(self) -> str:
        """Where matrices come from, for messages."""
        return str(Path(str(self.data_root), self.version))


def _find_version(root: Path, split: str) -> str:
    there = sorted(path.parent.name for path in root.glob("*/sample_data.json"))
    wanted = _OFFICIAL[2:] if split == "test" else _OFFICIAL[:2]
    found = [name for name in wanted if name in there]
    found += [name for name in there if name not in _OFFICIAL]
    if not found:
        raise MissingFileError(
            f"{root}: no tables for the split {split} (tables here: {', '.join(there) or 'none'}), "
            f"expected the folder {' or '.join(wanted)} with sample_data.json and others: unpack "
            "nuScenes' metadata there, or give the key `version`"
        )
    return found[0]


def _splits(root: Path, version: str) -> dict[str, tuple[str, ...]]:
    if version not in _OFFICIAL:
        own = read_splits(root / version)
        if not own:
            raise InvalidValueError(
                f"{root / version}: nobody knows which scenes of this version are for what: put "
                'splits.json there ({"train": [...], "val": [...]}), as the development kit '
                "reads it"
            )
        return {name: tuple(scenes) for name, scenes in own.items()}
    # The kit takes seconds to import.
    from nuscenes.utils.splits import create_splits_scenes

    names = create_splits_scenes()
    prefix = "mini_" if version == _MINI else ""
    chosen = {key: tuple(names[f"{prefix}{key}"]) for key in ("train", "val")}
    return chosen if version == _MINI else {**chosen, "test": tuple(names["test"])}
