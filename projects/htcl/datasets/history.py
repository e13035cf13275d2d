"""Gives each sample of a sequence its earlier frames: N camera, T frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from htcl.datasets.history_gaps import HistoryGaps
from htcl.datasets.history_spacing import HistorySpacing
from htcl.datasets.sample_info import SampleInfo
from htcl.errors import InvalidValueError
from htcl.geometry import relative_motion

# Which key of a camera becomes which of its history.
_HISTORIES = {"image": "history", "right": "history_right", "depth": "history_depth"}


def with_history(
    frames: Sequence[SampleInfo], spacing: HistorySpacing, gaps: HistoryGaps
) -> list[SampleInfo]:
    """The samples among the frames of a sequence, with their history.

    Args:
        frames: The frames of one sequence, in any order.
        spacing: Which earlier frames a sample has.
        gaps: Where the history ends, besides the frames that are not there.

    Raises:
        InvalidValueError: If the spacing takes poses, and a frame has none.
    """
    by_index = {frame["frame_index"]: frame for frame in frames}
    samples = []
    start = previous = -2
    for current in sorted(by_index):
        if current != previous + 1 or gaps.between(by_index[previous], by_index[current]):
            start = current
        previous = current
        if by_index[current].get("is_sample", True):
            nearby = range(max(current - spacing.reach, start), current + 1)
            poses = _poses(spacing, [by_index[index] for index in nearby])
            distances = spacing.distances(current - start, poses)
            samples.append(_joined([by_index[current - d] for d in (*distances, 0)]))
    return samples


def _poses(spacing: HistorySpacing, frames: Sequence[SampleInfo]) -> list[np.ndarray] | None:
    """Poses of the first camera, if it takes some to choose the history."""
    if not spacing.needs_poses:
        return None
    poses = [frame["cameras"][0].get("world_from_camera") for frame in frames]
    for frame, pose in zip(frames, poses, strict=True):
        if pose is None:
            raise InvalidValueError(
                f"history_metres={spacing.history_metres} takes the poses of all frames, "
                f"but sequence {frame['sequence']} frame {frame['frame']} has none: add them, "
                "or give the distance in frames (history_stride, history_metres=None)"
            )
    return [pose for pose in poses if pose is not None]


def _joined(frames: Sequence[SampleInfo]) -> SampleInfo:
    """A sample from the infos of its T frames, the current one last."""
    cameras = []
    for views in zip(*(frame["cameras"] for frame in frames), strict=True):
        poses = [view.get("world_from_camera") for view in views]
        motion = None
        if len(views) > 1 and all(pose is not None for pose in poses):
            motion = relative_motion(np.stack(poses), -1, range(len(poses) - 1))
        camera: Any = {key: value for key, value in views[-1].items() if key != "world_from_camera"}
        for key, history in _HISTORIES.items():
            paths = [view.get(key) for view in views[:-1]]
            camera[history] = paths if all(paths) else []
        cameras.append({**camera, "current_from_history": motion})
    sample: Any = {**frames[-1], "cameras": cameras}
    sample.pop("is_sample", None)
    return sample
