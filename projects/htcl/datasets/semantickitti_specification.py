"""SemanticKITTI's completion benchmark as data.

This file is the only place that states these facts. The mapping, the names and the colours are
those of the benchmark's own configuration file (J. Behley et al., "SemanticKITTI: A Dataset for
Semantic Scene Understanding of LiDAR Sequences", ICCV 2019); the voxel rules are those of its
completion task.

Raw ids are what the ``.label`` files hold: the class, with moving objects as classes of their own
(252-259).
"""

from __future__ import annotations

from htcl.datasets.specification import DatasetSpecification, register_specification
from htcl.geometry import VoxelGrid

_CLASS_NAMES = (
    "empty",
    "car",
    "bicycle",
    "motorcycle",
    "truck",
    "other-vehicle",
    "person",
    "bicyclist",
    "motorcyclist",
    "road",
    "parking",
    "sidewalk",
    "other-ground",
    "building",
    "fence",
    "vegetation",
    "trunk",
    "terrain",
    "pole",
    "traffic-sign",
)

# Official colours as RGB (the benchmark's file stores them as BGR).
_PALETTE = (
    (0, 0, 0),
    (100, 150, 245),
    (100, 230, 245),
    (30, 60, 150),
    (80, 30, 180),
    (0, 0, 255),
    (255, 30, 30),
    (255, 40, 200),
    (150, 30, 90),
    (255, 0, 255),
    (255, 150, 255),
    (75, 0, 75),
    (175, 0, 75),
    (255, 200, 0),
    (255, 120, 50),
    (0, 175, 0),
    (135, 60, 0),
    (150, 240, 80),
    (255, 240, 150),
    (255, 0, 0),
)

# Voxels of each class over the training split.
_CLASS_COUNTS = (
    5.41773033e9,
    1.57835390e7,
    1.25136e5,
    1.18809e5,
    6.46799e5,
    8.21951e5,
    2.62978e5,
    2.83696e5,
    2.0475e5,
    6.16887030e7,
    4.502961e6,
    4.4883650e7,
    2.269923e6,
    5.6840218e7,
    1.5719652e7,
    1.58442623e8,
    2.061623e6,
    3.6970522e7,
    1.151988e6,
    3.34146e5,
)

# The benchmark's learning map, in which 0 stands for "unlabelled or not scored".
_LEARNING_MAP = {
    0: 0,  # unlabelled
    1: 0,  # outlier
    10: 1,  # car
    11: 2,  # bicycle
    13: 5,  # bus
    15: 3,  # motorcycle
    16: 5,  # on rails
    18: 4,  # truck
    20: 5,  # other vehicle
    30: 6,  # person
    31: 7,  # bicyclist
    32: 8,  # motorcyclist
    40: 9,  # road
    44: 10,  # parking
    48: 11,  # sidewalk
    49: 12,  # other ground
    50: 13,  # building
    51: 14,  # fence
    52: 0,  # other structure
    60: 9,  # lane marking
    70: 15,  # vegetation
    71: 16,  # trunk
    72: 17,  # terrain
    80: 18,  # pole
    81: 19,  # traffic sign
    99: 0,  # other object
    252: 1,  # moving car
    253: 7,  # moving bicyclist
    254: 6,  # moving person
    255: 8,  # moving motorcyclist
    256: 5,  # moving on rails
    257: 5,  # moving bus
    258: 4,  # moving truck
    259: 5,  # moving other vehicle
}

SEMANTICKITTI = register_specification(
    DatasetSpecification(
        name="SemanticKITTI",
        class_names=_CLASS_NAMES,
        palette=_PALETTE,
        # In the voxel task only raw 0 means "empty"; the other ids that map to 0 are matter of no
        # scored class.
        voxel_map={
            raw: train if train or raw == 0 else 255 for raw, train in _LEARNING_MAP.items()
        },
        point_map=_LEARNING_MAP,
        raw_ids=(0, 10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81),
        grid=VoxelGrid.from_range((0.0, -25.6, -2.0, 51.2, 25.6, 4.4), 0.2),
        splits={
            "train": ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10"),
            "val": ("08",),
            "trainval": ("00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10"),
            "test": ("11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21"),
        },
        class_counts=_CLASS_COUNTS,
    )
)
