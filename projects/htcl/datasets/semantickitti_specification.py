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

# By training id: name, RGB colour (the benchmark's file stores BGR), raw ids, voxels of the
# training split. The first raw id is the one of predictions, those from 252 on are moving.
_CLASSES = (
    ("empty", (0, 0, 0), (0,), 5.41773033e9),
    ("car", (100, 150, 245), (10, 252), 1.57835390e7),
    ("bicycle", (100, 230, 245), (11,), 1.25136e5),
    ("motorcycle", (30, 60, 150), (15,), 1.18809e5),
    ("truck", (80, 30, 180), (18, 258), 6.46799e5),
    # 13 and 257 are buses, 16 and 256 on rails.
    ("other-vehicle", (0, 0, 255), (20, 13, 16, 256, 257, 259), 8.21951e5),
    ("person", (255, 30, 30), (30, 254), 2.62978e5),
    ("bicyclist", (255, 40, 200), (31, 253), 2.83696e5),
    ("motorcyclist", (150, 30, 90), (32, 255), 2.0475e5),
    ("road", (255, 0, 255), (40, 60), 6.16887030e7),  # 60: lane marking
    ("parking", (255, 150, 255), (44,), 4.502961e6),
    ("sidewalk", (75, 0, 75), (48,), 4.4883650e7),
    ("other-ground", (175, 0, 75), (49,), 2.269923e6),
    ("building", (255, 200, 0), (50,), 5.6840218e7),
    ("fence", (255, 120, 50), (51,), 1.5719652e7),
    ("vegetation", (0, 175, 0), (70,), 1.58442623e8),
    ("trunk", (135, 60, 0), (71,), 2.061623e6),
    ("terrain", (150, 240, 80), (72,), 3.6970522e7),
    ("pole", (255, 240, 150), (80,), 1.151988e6),
    ("traffic-sign", (255, 0, 0), (81,), 3.34146e5),
)
_NAMES, _COLOURS, _RAW_IDS, _COUNTS = zip(*_CLASSES, strict=True)
_SCORED = {raw: train for train, ids in enumerate(_RAW_IDS) for raw in ids}
# Outlier, other structure, other object: matter of no scored class. As voxels only raw 0
# ("unlabelled") means empty; the benchmark's learning map has 0 for all four.
_UNSCORED = (1, 52, 99)

SEMANTICKITTI = register_specification(
    DatasetSpecification(
        name="SemanticKITTI",
        class_names=_NAMES,
        palette=_COLOURS,
        voxel_map=_SCORED | dict.fromkeys(_UNSCORED, 255),
        point_map=_SCORED | dict.fromkeys(_UNSCORED, 0),
        raw_ids=tuple(ids[0] for ids in _RAW_IDS),
        grid=VoxelGrid.from_range((0.0, -25.6, -2.0, 51.2, 25.6, 4.4), 0.2),
        splits={
            "train": ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10"),
            "val": ("08",),
            "trainval": ("00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10"),
            "test": ("11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21"),
        },
        class_counts=_COUNTS,
        # The voxel download has every fifth frame.
        release_counts={
            "train": {"voxel download": 3834},
            "val": {"voxel download": 815},
            "trainval": {"voxel download": 4649},
        },
    )
)
