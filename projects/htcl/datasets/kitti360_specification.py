"""SSCBench-KITTI-360's completion benchmark as data.

This file is the only place that states these facts. Names, ids and counts are those of the
benchmark's configuration (Y. Li et al., "SSCBench: A Large-Scale 3D Semantic Scene Completion
Benchmark for Autonomous Driving", IROS 2024), the colours those of SemanticKITTI for the same ids.

Raw ids are what the ``.label`` files hold. Unlike in SemanticKITTI, a label that is no class of the
benchmark (trunk, bicyclist, ...) means empty and is scored, and a labelled voxel is valid whatever
the ``.invalid`` file says.
"""

from __future__ import annotations

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.specification import DatasetSpecification, register_specification

# By training id: name, RGB colour, raw ids (the first is the one of predictions), voxels of the
# training split.
_CLASSES = (
    ("empty", (0, 0, 0), (0, 1, 31, 32, 71, 253, 255), 2264087502),
    ("car", (100, 150, 245), (10, 252), 20098728),
    ("bicycle", (100, 230, 245), (11,), 104972),
    ("motorcycle", (30, 60, 150), (15,), 96297),
    ("truck", (80, 30, 180), (18, 258), 1149426),
    ("other-vehicle", (0, 0, 255), (20, 13, 16, 256, 257, 259), 4051087),
    ("person", (255, 30, 30), (30, 254), 125103),
    ("road", (255, 0, 255), (40, 60), 105540713),
    ("parking", (255, 150, 255), (44,), 16292249),
    ("sidewalk", (75, 0, 75), (48,), 45297267),
    ("other-ground", (175, 0, 75), (49,), 14454132),
    ("building", (255, 200, 0), (50,), 110397082),
    ("fence", (255, 120, 50), (51,), 6766219),
    ("vegetation", (0, 175, 0), (70,), 295883213),
    ("terrain", (150, 240, 80), (72,), 50037503),
    ("pole", (255, 240, 150), (80,), 1561069),
    ("traffic-sign", (255, 0, 0), (81,), 406330),
    ("other-structure", (255, 150, 0), (52,), 30516166),
    ("other-object", (50, 255, 255), (99,), 1950115),
)
_NAMES, _COLOURS, _RAW_IDS, _COUNTS = zip(*_CLASSES, strict=True)
_TRAINING_IDS = {raw: train for train, ids in enumerate(_RAW_IDS) for raw in ids}
_TRAIN, _VAL = ("00", "02", "03", "04", "05", "07", "10"), ("06",)
# The present files, and what the benchmark's own page still says.
_NOW, _BEFORE = "release of April 2025", "first release"

KITTI360 = register_specification(
    DatasetSpecification(
        name="SSCBench-KITTI-360",
        class_names=_NAMES,
        palette=_COLOURS,
        voxel_map=_TRAINING_IDS,
        point_map=_TRAINING_IDS,
        raw_ids=tuple(ids[0] for ids in _RAW_IDS),
        grid=SEMANTICKITTI.stored_grid,
        # Numbers of the drives.
        splits={"train": _TRAIN, "val": _VAL, "trainval": (*_TRAIN, *_VAL), "test": ("09",)},
        label_splits=("train", "val", "trainval", "test"),
        class_counts=_COUNTS,
        label_beats_mask=True,
        release_counts={
            "train": {_NOW: 8483, _BEFORE: 8487},
            "val": {f"{_NOW} or {_BEFORE}": 1812},
            "trainval": {_NOW: 10295, _BEFORE: 10299},
            "test": {_NOW: 2165, _BEFORE: 2566},
        },
    )
)
