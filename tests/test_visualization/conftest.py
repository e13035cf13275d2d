from __future__ import annotations

import numpy as np
import pytest
from street_scene import IMAGE, INTRINSICS, LIDAR_FROM_CAMERA, ORIGIN, SIZE, street

from htcl.visualization import FrameResult


@pytest.fixture
def make_result():
    def make(**changes) -> FrameResult:
        rng = np.random.default_rng(0)
        truth = street()
        truth[12:, 12:, 5:] = 255
        prediction = street()
        prediction[8, 5:8, 1:3] = 0
        prediction[2:4, 6:8, 1] = 6
        prediction[:, 4, 0] = 17
        entries = {
            "prediction": prediction,
            "ground_truth": truth,
            "left": rng.integers(0, 255, (*IMAGE, 3), dtype=np.uint8),
            "intrinsics": INTRINSICS,
            "lidar_from_camera": LIDAR_FROM_CAMERA,
            "voxel_origin": ORIGIN,
            "voxel_size": SIZE,
            "sequence": "08",
            "frame": "000005",
        }
        return FrameResult(**(entries | changes))

    return make
