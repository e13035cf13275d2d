from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from htcl.datasets.resampling import resize


@pytest.mark.parametrize("resampling", ["NEAREST", "BILINEAR", "BICUBIC", "LANCZOS"])
def test_bits_are_those_of_pillow(resampling: str):
    rng = np.random.default_rng(0)
    chosen = Image.Resampling[resampling]
    # KITTI to the network, and up, down, by much, and not at all.
    sizes = [((376, 1241), (387, 1279)), ((370, 1226), (384, 1280))]
    sizes += [(tuple(rng.integers(1, 50, 2)), tuple(rng.integers(30, 90, 2))) for _ in range(60)]
    sizes += [((20, 30), (20, 40)), ((20, 30), (20, 30)), ((1, 1), (7, 5)), ((80, 90), (1, 2))]
    for old, new in sizes:
        noise = rng.integers(0, 256, (*old, 3), dtype=np.uint8)
        # Hard edges overshoot, which has to be clipped.
        for image in (noise, (noise > 127) * np.uint8(255)):
            expected = Image.fromarray(image).resize((int(new[1]), int(new[0])), chosen)
            found = resize(image, (int(new[0]), int(new[1])), chosen)
            np.testing.assert_array_equal(found, np.asarray(expected), err_msg=f"{old} {new}")
