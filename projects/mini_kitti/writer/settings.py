"""What the mini data set contains."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np

from htcl.datasets.kitti360_specification import KITTI360 as KITTI360_FACTS
from htcl.errors import InvalidValueError, check_choice
from mini_kitti.street.styles import has_traffic

__all__ = [
    "DEFAULT_SEQUENCES",
    "HELD_OUT",
    "KITTI360",
    "KITTI360_HELD_OUT",
    "KITTI360_SEQUENCES",
    "LAYOUTS",
    "NUSCENES",
    "NUSCENES_SEQUENCES",
    "SEMANTICKITTI",
    "MiniKittiSettings",
    "is_test",
    "sequences_for",
]

SEMANTICKITTI, KITTI360, NUSCENES = LAYOUTS = ("semantickitti", "kitti360", "nuscenes")

# Validation 08 and 09, test 11; those before 11 besides, and all from 100 on, are for training.
HELD_OUT = ("08", "09", "11")
_FIRST_TEST, _FIRST_BEYOND = 11, 100
# Raise this when the same settings make other data, so that old and new sequences are not mixed.
_VERSION = 3


@dataclass(frozen=True)
class MiniKittiSettings:
    """Everything that decides the bytes of a sequence, besides its number.

    Attributes:
        seed: Seed of the data set.
        frames: Frames of a sequence with labels; test sequences have a third of them.
        image_size: Height, width in pixels.
        lidar_azimuths: Columns of a lidar scan.
        label_every: Voxel files are made for every n-th frame.
        traffic: Share of the streets on which something moves, 0 to 1.
        layout: 'semantickitti', 'kitti360' or 'nuscenes', whose files, cameras and names of
            sequences are to be made.
        lean: Write what training and evaluation here read and no more: scans only of the frames
            with voxels, and ready training labels in place of the official voxel files.
    """

    seed: int = 0
    frames: int = 31
    image_size: tuple[int, int] = (160, 520)
    lidar_azimuths: int = 440
    label_every: int = 5
    traffic: float = 0.5
    lean: bool = False
    layout: str = SEMANTICKITTI

    def __post_init__(self) -> None:
        """Check the numbers."""
        low = {"frames": 1, "image_size": 16, "lidar_azimuths": 16, "label_every": 1}
        for name, least in low.items():
            value = getattr(self, name)
            if np.min(value) < least:
                raise InvalidValueError(f"{name} must be at least {least}, found {value}")
        if not 0 <= self.traffic <= 1:
            raise InvalidValueError(
                f"traffic must be a share of the streets from 0 to 1, found {self.traffic}"
            )

        check_choice("layout", self.layout, LAYOUTS)
        if self.lean and self.layout != SEMANTICKITTI:
            raise InvalidValueError(f"lean is for the layout semantickitti, not for {self.layout}")

    def num_frames(self, sequence: str) -> int:
        """Return the number of frames of a sequence."""
        return max(1, self.frames // 3) if is_test(sequence) else self.frames

    def has_traffic(self, sequence: str) -> bool:
        """Say whether something moves in a sequence."""
        return has_traffic(int(sequence), self.traffic)

    def as_json(self, sequence: str) -> str:
        """Return the record that each finished sequence keeps."""
        facts = {**asdict(self), "traffic": self.has_traffic(sequence)}
        if self.layout == SEMANTICKITTI:
            # As in the records before there was a choice.
            del facts["layout"]
        record = {"synthetic": True, "version": _VERSION, "sequence": sequence, **facts}
        return json.dumps(record, indent=2) + "\n"


def sequences_for(streets: int) -> tuple[str, ...]:
    """Name a number of training sequences, and 08, 09 and 11 besides.

    00 to 07 and 10 come first, then 100, 101, ...: what is between would be test sequences of
    SemanticKITTI. More streets are the same ones and others.
    """
    if streets < 1:
        raise InvalidValueError(f"streets must be at least 1, found {streets}")
    numbers = [*range(8), 10, *range(_FIRST_BEYOND, _FIRST_BEYOND + streets)][:streets]
    return tuple(sorted([*(f"{number:02d}" for number in numbers), *HELD_OUT], key=int))


DEFAULT_SEQUENCES = sequences_for(9)
# The streets of the others; six images a frame take their time.
NUSCENES_SEQUENCES = ("00", "01", "02", "03", "04", "05", "08", "09")
KITTI360_HELD_OUT = (*KITTI360_FACTS.splits["val"], *KITTI360_FACTS.splits["test"])
KITTI360_SEQUENCES = tuple(sorted({n for names in KITTI360_FACTS.splits.values() for n in names}))


def is_test(sequence: str) -> bool:
    """Say whether a sequence is one of the test split, which has no labels."""
    return _FIRST_TEST <= int(sequence) < _FIRST_BEYOND
