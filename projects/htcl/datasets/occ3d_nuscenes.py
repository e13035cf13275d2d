"""Occ3D-nuScenes: six cameras, a grid around the car, and masks of what is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import DATASETS

from htcl.datasets.nuscenes_dataset import NuScenesDataset
from htcl.datasets.nuscenes_frames import Moment
from htcl.datasets.occ3d_specification import OCC3D
from htcl.errors import InvalidValueError

# The benchmark's name, and that of trees that keep several benchmarks.
_LABELS = ("gts", "occ3d")


@DATASETS.register_module()
class Occ3DNuScenes(NuScenesDataset):
    """Key frames of nuScenes with the labels of Occ3D.

    The grid is in the frame of the ego vehicle at the time of the key frame's scan. Labels are
    ``label_root/scene-NNNN/SAMPLE_TOKEN/labels.npz``; their masks come with the ground truth as
    ``mask_camera``, outside of which nothing is scored, and ``mask_lidar``.

    Args:
        data_root: Folder of nuScenes.
        specification: See :class:`OccupancyDataset`.
        label_root: Folder of the labels; None: ``gts`` or ``occ3d`` in the data root.
        **kwargs: Arguments of :class:`NuScenesDataset`.

    Raises:
        MissingFileError: If tables, scenes or files are missing; names them.
        InvalidValueError: If an argument is out of range, or the tables are unsound.
    """

    def __init__(
        self,
        data_root: str | None = None,
        specification: Any = OCC3D,
        label_root: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_root, specification, label_root=label_root, **kwargs)

    def find_labels(self, root: Path) -> Path:
        """Where the labels are looked for without a ``label_root``."""
        folders = [root / name for name in _LABELS]
        return next(filter(Path.is_dir, folders), folders[0])

    def label_entry(self, moment: Moment) -> dict[str, str]:
        """The label file of a key frame."""
        path = self.label_root / moment.scene / moment.token / "labels.npz"
        return {"file": str(path), "format": "occ3d"}

    def world_from_reference(self, moment: Moment) -> np.ndarray:
        """Pose (4, 4) of the ego vehicle."""
        if moment.world_from_ego is None:
            raise InvalidValueError(f"scene {moment.scene} frame {moment.token} has no ego pose")
        return moment.world_from_ego
