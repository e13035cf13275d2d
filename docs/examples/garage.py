"""A data set of one's own: two cameras of a car in a parking garage.

``ROOT/rig.json`` has each camera's ``intrinsics`` and ``reference_from_camera``, 4 x 4; images are
``ROOT/SEQUENCE/CAMERA/FRAME.png``, classes ``ROOT/SEQUENCE/labels/FRAME.npy``, (X, Y, Z) uint8.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from mmengine.registry import DATASETS

from htcl.datasets.occupancy_dataset import OccupancyDataset
from htcl.datasets.sample_info import CameraInfo, SampleInfo
from htcl.datasets.specification import DatasetSpecification, register_specification
from htcl.geometry import VoxelGrid

GARAGE = register_specification(
    DatasetSpecification(
        name="Garage",
        class_names=("empty", "floor", "pillar", "car"),
        palette=((0, 0, 0), (128, 64, 128), (255, 200, 0), (100, 150, 245)),
        voxel_map={0: 0, 1: 1, 2: 2, 3: 3},
        point_map={0: 0, 1: 1, 2: 2, 3: 3},
        raw_ids=(0, 1, 2, 3),
        grid=VoxelGrid.from_range((-12.8, -12.8, -1.6, 12.8, 12.8, 1.6), voxel_size=0.2),
        splits={"train": ("level1", "level2"), "val": ("level3",)},
    )
)


@DATASETS.register_module()
class GarageDataset(OccupancyDataset):
    """Lists frames; the base class adds the history, the pipeline reads the files."""

    def list_sequence(self, sequence: str) -> list[SampleInfo]:
        """One info for each front image."""
        folder = Path(self.data_root, sequence)
        rig = json.loads((folder.parent / "rig.json").read_text())
        return [
            SampleInfo(
                sequence=sequence,
                frame=frame,
                frame_index=int(frame),
                cameras=[
                    CameraInfo(
                        name=name,
                        image=str(folder / name / f"{frame}.png"),
                        intrinsics=np.array(view["intrinsics"]),
                        reference_from_camera=np.array(view["reference_from_camera"]),
                    )
                    for name, view in rig.items()
                ],
                labels={"ready": {"1_1": str(folder / "labels" / f"{frame}.npy")}},
            )
            for frame in sorted(path.stem for path in (folder / "front").glob("*.png"))
        ]
