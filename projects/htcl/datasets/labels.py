"""SemanticKITTI classes: raw ids on disk, training ids, names, colours and counts.

This file is the only place that states these facts. The mapping, the names and the colours are
those of the benchmark's own configuration file (J. Behley et al., "SemanticKITTI: A Dataset for
Semantic Scene Understanding of LiDAR Sequences", ICCV 2019); the voxel rules are those of its
completion task.

Raw ids are what the ``.label`` files hold: the class, with moving objects as classes of their own
(252-259). Training ids are ``uint8``: 0 empty, 1-19 the official classes in the official order, 255
not scored.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

IGNORE_INDEX = 255

CLASS_NAMES = (
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
NUM_CLASSES = len(CLASS_NAMES)

# Official colours as RGB (the benchmark's file stores them as BGR); row = training id.
PALETTE = np.array(
    [
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
    ],
    dtype=np.uint8,
)
PALETTE.setflags(write=False)

# Voxels of each training id over the training split, for class weights 1 / ln(frequency).
CLASS_VOXEL_COUNTS = (
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

# Raw id -> training id as the benchmark's learning map has it: 0 stands for "unlabelled or not
# scored".
LEARNING_MAP = {
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

# Training id -> raw id to write into a prediction.
TRAIN_TO_RAW = np.array(
    [0, 10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81], dtype=np.uint16
)
TRAIN_TO_RAW.setflags(write=False)

_RAW_IDS = 1 << 16


def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Builds tables over all 16-bit raw ids: for voxels, for points, and which are known."""
    voxels = np.full(_RAW_IDS, IGNORE_INDEX, dtype=np.uint8)
    points = np.zeros(_RAW_IDS, dtype=np.uint8)
    known = np.zeros(_RAW_IDS, dtype=bool)
    for raw, train in LEARNING_MAP.items():
        known[raw] = True
        points[raw] = train
        # In the voxel task only raw 0 means "empty"; the other ids that map to 0 are matter of no
        # scored class.
        if train or raw == 0:
            voxels[raw] = train
    return voxels, points, known


_VOXEL_TABLE, _POINT_TABLE, _KNOWN = _tables()


def _check_known(raw: np.ndarray, source: str | Path | None) -> None:
    if _KNOWN[raw].all():
        return
    unknown, counts = np.unique(raw[~_KNOWN[raw]], return_counts=True)
    listed = ", ".join(f"{i} ({n} times)" for i, n in zip(unknown[:10], counts[:10], strict=True))
    raise ValueError(
        f"{source or 'label array'}: {len(unknown)} unknown raw label id(s): {listed}; "
        f"expected ids of the SemanticKITTI learning map {sorted(LEARNING_MAP)}. "
        "Is it a label file of this data set?"
    )


def raw_to_train(
    raw: np.ndarray, strict: bool = False, source: str | Path | None = None
) -> np.ndarray:
    """Maps raw voxel ids to training ids by the rule of the official completion script.

    Raw 0 becomes 0 (empty). Raw 1, 52, 99 and ids outside the learning map become 255. Raw 255 is a
    moving motorcyclist, so it becomes class 8, not "ignored".

    Args:
        raw: Raw ids of any shape, an unsigned 16-bit array or integers that fit into one.
        strict: Refuse ids outside the learning map instead of ignoring them.
        source: File that the ids come from, for the error message.

    Returns:
        Training ids, uint8, same shape.

    Raises:
        ValueError: If ``strict`` and an id is unknown, or if a value does not fit into 16 bits.
    """
    raw = _as_raw(raw, source)
    if strict:
        _check_known(raw, source)
    return _VOXEL_TABLE[raw]


def raw_to_train_points(
    raw: np.ndarray, strict: bool = False, source: str | Path | None = None
) -> np.ndarray:
    """Maps the labels of lidar points to training ids.

    Args:
        raw: (N,) uint32 as stored: class in the low 16 bits, instance in the high 16 bits.
        strict: Refuse ids outside the learning map instead of giving them 0.
        source: File that the ids come from, for the error message.

    Returns:
        (N,) uint8 with 1-19, and 0 for points that have no scored class (a point is never "empty").

    Raises:
        ValueError: If ``strict`` and an id is unknown.
    """
    semantic = (np.asarray(raw).astype(np.uint32, copy=False) & 0xFFFF).astype(np.uint16)
    if strict:
        _check_known(semantic, source)
    return _POINT_TABLE[semantic]


def _as_raw(raw: np.ndarray, source: str | Path | None) -> np.ndarray:
    raw = np.asarray(raw)
    if raw.dtype == np.uint16 or raw.size == 0:
        return raw.astype(np.uint16, copy=False)
    low, high = int(raw.min()), int(raw.max())
    if raw.dtype.kind not in "iu" or low < 0 or high >= _RAW_IDS:
        raise ValueError(
            f"{source or 'label array'}: raw label ids must be integers in 0..65535, "
            f"found {raw.dtype} in {low}..{high}"
        )
    return raw.astype(np.uint16)
