from __future__ import annotations

import numpy as np
import pytest

from htcl.errors import InvalidValueError
from htcl.visualization.supported_depth import supported_depth


def test_the_sky_has_no_depth(make_result):
    """The upper half of the image looks over a flat road: its 2 m are no surface."""
    labels = np.zeros((16, 16, 8), np.uint8)
    labels[:, :, 0] = 9
    # The camera is 0.1 m below the lidar; the road's voxels end at -1.2 m. A ray of the lowest row
    # falls by 24 / 90 of its way, thus meets them after some 4 m.
    depth = np.full((1, 12, 40), 4.0, np.float32)
    depth[0, :6] = 2.0
    depth[0, 0, 0] = 0.0  # no value at all
    # Six metres up at the end of a long way: beyond the grid, where nobody knows.
    depth[0, 1] = 40.0
    found = supported_depth(make_result(prediction=labels, ground_truth=None, depth_plane=depth))
    assert np.isnan(found[0, 0]).all()
    assert (found[0, 1] == 40.0).all()
    # The first row at 2 m: 0.4 m above the lidar, 1.6 m above the road.
    assert (found[0, -1] == 4.0).all()


def test_nothing_predicted(make_result):
    depth = np.full((1, 12, 40), 4.0, np.float32)
    empty = np.zeros((16, 16, 8), np.uint8)
    result = make_result(prediction=empty, ground_truth=None, depth_plane=depth)
    assert np.isnan(supported_depth(result)).all()
    with pytest.raises(InvalidValueError, match="holds no depth_plane"):
        supported_depth(make_result())
