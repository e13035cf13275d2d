"""OpenOccupancy v0.1 (nuScenes-Occupancy) as data.

This file is the only place that states these facts: X. Wang et al., "OpenOccupancy: A Large Scale
Benchmark for Surrounding Semantic Occupancy Perception", ICCV 2023, and its repository. The grid is
in the frame of the key frame's lidar: x right, y front, z up.

Files list the occupied voxels alone, with the ids of nuScenes-lidarseg: 0 is noise, which is not
scored. All voxels with a class are scored, seen or not.
"""

from __future__ import annotations

from htcl.datasets.specification import DatasetSpecification, register_specification
from htcl.geometry import VoxelGrid

# By id: name, RGB colour, and the count that the benchmark makes its class weights of (of a finer
# grid than the published one, which the logarithm forgives).
CLASSES = (
    ("empty", (0, 0, 0), 2242961742295),
    ("barrier", (112, 128, 144), 25985376),
    ("bicycle", (220, 20, 60), 1561108),
    ("bus", (255, 127, 80), 28862014),
    ("car", (255, 158, 0), 196106643),
    ("construction_vehicle", (233, 150, 70), 15920504),
    ("motorcycle", (255, 61, 99), 2158753),
    ("pedestrian", (0, 0, 230), 26539491),
    ("traffic_cone", (47, 79, 79), 4004729),
    ("trailer", (255, 140, 0), 34838681),
    ("truck", (255, 99, 71), 75173306),
    ("driveable_surface", (0, 207, 191), 2255027978),
    ("other_flat", (175, 0, 75), 50959399),
    ("sidewalk", (75, 0, 75), 646022466),
    ("terrain", (112, 180, 60), 869055679),
    ("manmade", (222, 184, 135), 1446141335),
    ("vegetation", (0, 175, 0), 1724391378),
)
_NAMES, _COLOURS, _COUNTS = zip(*CLASSES, strict=True)
_NOISE = 0
# Key frames of the splits of nuScenes, the whole of it and v1.0-mini.
NUSCENES_COUNTS = {
    "train": {"v1.0-trainval": 28130, "v1.0-mini": 323},
    "val": {"v1.0-trainval": 6019, "v1.0-mini": 81},
    "test": {"v1.0-test": 6008},
}
# An id for what files leave out; Occ3D-nuScenes calls it so too.
_FREE = 17

OPENOCCUPANCY = register_specification(
    DatasetSpecification(
        name="OpenOccupancy",
        class_names=_NAMES,
        palette=_COLOURS,
        voxel_map={_NOISE: 255, _FREE: 0} | {k: k for k in range(1, len(CLASSES))},
        point_map={_NOISE: 0} | {k: k for k in range(1, len(CLASSES))},
        raw_ids=(_FREE, *range(1, len(CLASSES))),
        grid=VoxelGrid.from_range((-51.2, -51.2, -5.0, 51.2, 51.2, 3.0), 0.2, front="y"),
        class_counts=_COUNTS,
        pooling="occupied",
        release_counts=NUSCENES_COUNTS,
    )
)
