from __future__ import annotations

import imageio.v2 as imageio
import numpy as np
import pytest

from htcl.errors import InvalidValueError
from htcl.visualization.video import write_video


def pictures(sizes):
    for i, (height, width) in enumerate(sizes):
        yield np.full((height, width, 3), 60 * i + 30, dtype=np.uint8)


@pytest.mark.parametrize("ending", ["mp4", "gif"])
def test_pictures_come_back(tmp_path, ending):
    # An odd size, and one picture that is smaller and one that is larger than the first.
    sizes = [(65, 97), (65, 97), (40, 97), (130, 194)]
    path = write_video(pictures(sizes), tmp_path / "new" / f"08.{ending}", fps=4)
    read = imageio.mimread(path)
    assert len(read) == 4
    for i, picture in enumerate(read):
        assert abs(picture.shape[0] - 65) <= 1 and abs(picture.shape[1] - 97) <= 1
        assert abs(int(picture[20, 40, 0]) - (60 * i + 30)) < 12
    assert int(read[2][60, 40, 0]) > 240  # the smaller picture is padded with white


def test_errors(tmp_path):
    with pytest.raises(InvalidValueError, match=r"ends in \.mp4 or \.gif"):
        write_video(pictures([(8, 8)]), tmp_path / "a.avi")
    with pytest.raises(InvalidValueError, match="no picture"):
        write_video(iter(()), tmp_path / "a.mp4")
