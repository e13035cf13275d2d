from __future__ import annotations

import pytest

from htcl.errors import InvalidValueError
from mini_kitti import DEFAULT_SEQUENCES, MiniKittiSettings, sequences_for
from mini_kitti.writer.settings import is_test


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 0}, "frames must be at least 1, found 0"),
        ({"image_size": (8, 100)}, "image_size"),
        ({"lidar_azimuths": 1}, "lidar_azimuths"),
        ({"label_every": 0}, "label_every"),
        ({"traffic": 1.5}, "traffic must be a share of the streets from 0 to 1, found 1.5"),
    ],
)
def test_wrong_settings_are_named(changes: dict, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        MiniKittiSettings(**changes)


def test_streets_have_names_of_no_test_sequence() -> None:
    assert sequences_for(2) == ("00", "01", "08", "09", "11")
    assert sequences_for(9) == DEFAULT_SEQUENCES == tuple(f"{n:02d}" for n in range(12))
    assert sequences_for(11)[-3:] == ("11", "100", "101")
    many = sequences_for(1000)
    assert len(set(many)) == 1003
    assert many[-1] == "1090"
    assert [name for name in many if is_test(name)] == ["11"]
    # More streets are the same ones and others.
    assert set(sequences_for(64)) < set(many)
    with pytest.raises(InvalidValueError, match="streets must be at least 1, found 0"):
        sequences_for(0)


def test_record_tells_whether_something_moves_not_how_often_elsewhere() -> None:
    few, many = MiniKittiSettings(traffic=0.45), MiniKittiSettings(traffic=0.55)
    assert few.has_traffic("00")
    assert few.as_json("00") == many.as_json("00")
    assert few.as_json("00") != MiniKittiSettings(traffic=0.0).as_json("00")
