"""Occ3D-nuScenes as data.

This file is the only place that states these facts: X. Tian et al., "Occ3D: A Large-Scale 3D
Occupancy Prediction Benchmark for Autonomous Driving", NeurIPS 2023, and its repository. The grid
is in the ego frame of the key frame: x front, y left, z up.

Ids 0 to 16 are those of nuScenes-lidarseg, 17 is free space. Only voxels that a camera sees are
scored: the mask ``mask_camera`` of the label file. A class without a true voxel in the split is
left out of the mean.
"""

from __future__ import annotations

from htcl.datasets.openoccupancy_specification import CLASSES, NUSCENES_COUNTS
from htcl.datasets.specification import DatasetSpecification, register_specification
from htcl.geometry import VoxelGrid

# The same classes, but "others" has the place of the empty one, which comes last.
_NAMES = ("others", *(name for name, _, _ in CLASSES[1:]), "free")
_COLOURS = ((110, 110, 110), *(colour for _, colour, _ in CLASSES[1:]), (0, 0, 0))
_IDS = tuple(range(len(_NAMES)))

OCC3D = register_specification(
    DatasetSpecification(
        name="Occ3D-nuScenes",
        class_names=_NAMES,
        palette=_COLOURS,
        voxel_map=dict(zip(_IDS, _IDS, strict=True)),
        point_map=dict(zip(_IDS, _IDS, strict=True)),
        raw_ids=_IDS,
        grid=VoxelGrid.from_range((-40.0, -40.0, -1.0, 40.0, 40.0, 5.4), 0.4),
        empty_class=_IDS[-1],
        scored_mask="mask_camera",
        absent_classes="left_out",
        release_counts=NUSCENES_COUNTS,
    )
)
