"""Motion between poses, 4 x 4 matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def relative_motion(poses: np.ndarray, current: int, frames: Sequence[int]) -> np.ndarray:
    """Motion from each of some frames to the current one.

    Args:
        poses: (N, 4, 4) ``world_from_camera``.
        current: Index of the current frame.
        frames: T frame indices.

    Returns:
        (T, 4, 4) float64 ``current_from_frame``: a static point in camera coordinates at a frame
        -> at the current frame.
    """
    return np.linalg.inv(poses[current]) @ poses[list(frames)]
