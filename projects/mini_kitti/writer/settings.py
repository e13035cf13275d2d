"""What the mini data set contains."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np

from htcl.errors import InvalidValueError

__all__ = ["DEFAULT_SEQUENCES", "MiniKittiSettings"]

# Train 00-07 and 10, validation 08 and 09, test 11.
DEFAULT_SEQUENCES = ("00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11")
_FIRST_TEST_SEQUENCE = 11
# Raise this when the same settings make other data, so that old and new sequences are not mixed.
_VERSION = 2


@dataclass(frozen=True)
class MiniKittiSettings:
    """Everything that decides the bytes of a sequence, besides its number.

    Attributes:
        seed: Seed of the data set.
        frames: Frames of a sequence with labels; test sequences have a third of them.
        image_size: Height, width in pixels.
        lidar_azimuths: Columns of a lidar scan.
        voxel_stride: Voxel files are made for every n-th frame.
    """

    seed: int = 0
    frames: int = 31
    image_size: tuple[int, int] = (160, 520)
    lidar_azimuths: int = 440
    voxel_stride: int = 5

    def __post_init__(self) -> None:
        """Check the numbers."""
        low = {"frames": 1, "image_size": 16, "lidar_azimuths": 16, "voxel_stride": 1}
        for name, least in low.items():
            value = getattr(self, name)
            if np.min(value) < least:
                raise InvalidValueError(f"{name} must be at least {least}, found {value}")

    def num_frames(self, sequence: str) -> int:
        """Return the number of frames of a sequence."""
        return max(1, self.frames // 3) if is_test(sequence) else self.frames

    def as_json(self, sequence: str) -> str:
        """Return the record that each finished sequence keeps."""
        record = {"synthetic": True, "version": _VERSION, "sequence": sequence, **asdict(self)}
        return json.dumps(record, indent=2) + "\n"


def is_test(sequence: str) -> bool:
    """Say whether a sequence belongs to the official test split, which has no labels."""
    return int(sequence) >= _FIRST_TEST_SEQUENCE
