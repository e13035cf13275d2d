"""Motion between poses, 4 x 4 matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def relative_motion(poses: np.ndarray, current: int, frames: Sequence[int]) -> np.ndarray:
    """Motions (T, 4, 4) from the camera frames at T indices to that at ``current``, float64.

    ``poses`` (N, 4, 4) are ``world_from_camera``.
    """
    return np.linalg.inv(poses[current]) @ poses[list(frames)]
