from __future__ import annotations

import pytest

from htcl.errors import InvalidValueError
from mini_kitti import MiniKittiSettings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 0}, "frames must be at least 1, found 0"),
        ({"image_size": (8, 100)}, "image_size"),
        ({"lidar_azimuths": 1}, "lidar_azimuths"),
        ({"voxel_stride": 0}, "voxel_stride"),
    ],
)
def test_wrong_settings_are_named(changes: dict, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        MiniKittiSettings(**changes)
