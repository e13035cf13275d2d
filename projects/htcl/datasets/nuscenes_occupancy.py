"""OpenOccupancy (nuScenes-Occupancy v0.1): six cameras, a grid around the lidar."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import DATASETS

from htcl.datasets.nuscenes_dataset import NuScenesDataset
from htcl.datasets.nuscenes_frames import Moment
from htcl.datasets.nuscenes_infos import read_infos
from htcl.datasets.openoccupancy_specification import OPENOCCUPANCY
from htcl.errors import InvalidValueError

LABELS = "nuScenes-Occupancy"


@DATASETS.register_module()
class NuScenesOccupancy(NuScenesDataset):
    """Key frames of nuScenes with the labels of OpenOccupancy.

    The grid is in the frame of the key frame's lidar. Labels are
    ``label_root/scene_TOKEN/occupancy/LIDAR_TOKEN.npy``.

    Args:
        data_root: Folder of nuScenes.
        specification: See :class:`OccupancyDataset`.
        label_root: Folder of the labels; None: ``nuScenes-Occupancy`` in the data root or beside
            it.
        info_file: The benchmark's published pickle of infos in the place of the tables. It knows
            scenes by their tokens, so these are the names of sequences; without ``sequences`` all
            of its scenes are taken, whatever the split is called.
        **kwargs: Arguments of :class:`NuScenesDataset`.

    Raises:
        MissingFileError: If tables, scenes or files are missing; names them.
        InvalidValueError: If an argument is out of range, or tables or infos are unsound.
    """

    def __init__(
        self,
        data_root: str | None = None,
        specification: Any = OPENOCCUPANCY,
        label_root: str | None = None,
        info_file: str | None = None,
        split: str = "train",
        version: str | None = None,
        history_frames: str = "key_frames",
        **kwargs: Any,
    ) -> None:
        self.info_file = info_file
        self._infos: dict[str, list[Moment]] = {}
        if info_file is not None:
            if history_frames != "key_frames":
                raise InvalidValueError(
                    f"history_frames={history_frames!r}: an info pickle has key frames alone; take "
                    "'key_frames', or the tables (leave the key `info_file` out)"
                )
            for moment in sorted(read_infos(info_file), key=lambda found: found.time):
                if moment.scene_token is None or not moment.lidar or not moment.lidar.token:
                    raise InvalidValueError(
                        f"{info_file}: frame {moment.token} names no scene_token or lidar_token, "
                        "as mmdetection3d's pickles do not; take OpenOccupancy's "
                        "nuscenes_occ_infos_*.pkl, or the tables (leave the key `info_file` out)"
                    )
                self._infos.setdefault(moment.scene, []).append(moment)
            # No folder of tables is looked for.
            version = version or Path(info_file).name
        super().__init__(
            data_root,
            specification,
            split=split,
            version=version,
            label_root=label_root,
            history_frames=history_frames,
            **kwargs,
        )

    def find_labels(self, root: Path) -> Path:
        """Where the labels are looked for without a ``label_root``."""
        inside = root / LABELS
        return inside if inside.is_dir() else root.parent / LABELS

    def label_entry(self, moment: Moment) -> dict[str, str]:
        """The label file of a key frame."""
        assert moment.lidar is not None
        folder = self.label_root / f"scene_{moment.scene_token}" / "occupancy"
        return {"file": str(folder / f"{moment.lidar.token}.npy"), "format": "openoccupancy"}

    def world_from_reference(self, moment: Moment) -> np.ndarray:
        """Pose (4, 4) of the lidar."""
        assert moment.lidar is not None
        return moment.lidar.world_from_sensor

    def list_splits(self, root: Path) -> Mapping[str, tuple[str, ...]]:
        """Scenes of each split; with an info pickle its own, whatever the split is called."""
        if self.info_file is None:
            return super().list_splits(root)
        return dict.fromkeys(("train", "val", "test"), tuple(self._infos))

    def check_scenes(self) -> None:
        """Raises MissingFileError if scenes are not in the tables."""
        if self.info_file is None:
            super().check_scenes()

    def scene_moments(self, sequence: str) -> list[tuple[Moment, bool]]:
        """The moments of a scene in order of time, and whether each is a key frame."""
        if self.info_file is None:
            return super().scene_moments(sequence)
        if sequence not in self._infos:
            raise InvalidValueError(
                f"{self.info_file}: no scene {sequence!r}; with an info pickle sequences are "
                f"tokens of scenes, such as {next(iter(self._infos), 'none')}"
            )
        return [(moment, True) for moment in self._infos[sequence]]

    def source(self) -> str:
        """Where matrices come from, for messages."""
        return self.info_file or super().source()
