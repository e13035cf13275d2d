from __future__ import annotations

import numpy as np

from htcl.geometry import relative_motion


def test_relative_motion_of_a_straight_drive():
    poses = np.eye(4).repeat(3).reshape(4, 4, 3).transpose(2, 0, 1)
    poses[:, 2, 3] = (0, 2, 5)
    motion = relative_motion(poses, current=2, frames=[0, 1, 2])
    # The car moved 5 m forward since frame 0: a point 10 m ahead then is 5 m ahead now.
    np.testing.assert_allclose(motion[0] @ (0, 0, 10, 1), (0, 0, 5, 1))
    np.testing.assert_allclose(motion[1] @ (0, 0, 10, 1), (0, 0, 7, 1))
    np.testing.assert_array_equal(motion[2], np.eye(4))
