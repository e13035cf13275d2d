from __future__ import annotations

import numpy as np
import pytest
from street_scene import IMAGE, INTRINSICS, LIDAR_FROM_CAMERA, ORIGIN, SIZE, street

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
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
            "images": rng.integers(0, 255, (1, *IMAGE, 3), dtype=np.uint8),
            "intrinsics": INTRINSICS[None],
            "reference_from_camera": LIDAR_FROM_CAMERA[None],
            "voxel_origin": ORIGIN,
            "voxel_size": SIZE,
            "class_names": SEMANTICKITTI.class_names,
            "palette": SEMANTICKITTI.colours,
            "sequence": "08",
            "frame": "000005",
        }
        return FrameResult(**(entries | changes))

    return make


@pytest.fixture
def rig_result(make_result):
    """Two cameras at one place, the second looking back."""

    def make(**changes) -> FrameResult:
        rng = np.random.default_rng(0)
        back = np.diag([-1.0, -1.0, 1.0, 1.0]) @ LIDAR_FROM_CAMERA
        entries = {
            "images": rng.integers(0, 255, (2, *IMAGE, 3), dtype=np.uint8),
            "intrinsics": np.stack([INTRINSICS] * 2),
            "reference_from_camera": np.stack([LIDAR_FROM_CAMERA, back]),
        }
        return make_result(**(entries | changes))

    return make
