"""From a user's images, calibration and poses to samples for a config's pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from htcl.apis.camera_file import CameraCalibration, read_calibration
from htcl.apis.clip_builder import ClipBuilder, needs_poses, needs_right
from htcl.apis.frame_source import FrameSource, check_pair, frame_numbers, frame_step
from htcl.apis.rig_builder import RigBuilder, no_stereo_rig
from htcl.apis.rig_file import RigCamera, read_rig
from htcl.datasets.calibration import read_poses
from htcl.datasets.history_spacing import HistorySpacing
from htcl.datasets.specification import DatasetSpecification
from htcl.errors import InvalidValueError
from htcl.files import plain_name


@dataclass(frozen=True)
class ClipReader:
    """Reads drives frame by frame, as a model needs them.

    Attributes:
        specification: What the model predicts.
        inputs: Names of what it needs, see :mod:`htcl.models.interfaces`.
        spacing: Number of history frames, and their distance where the caller does not say.
    """

    specification: DatasetSpecification
    inputs: frozenset[str]
    spacing: HistorySpacing

    @property
    def stereo(self) -> bool:
        """Whether the model takes right images."""
        return needs_right(self.inputs)

    def builder(self, calib: Any, spacing: HistorySpacing, name: str) -> ClipBuilder:
        """Opens a clip of a calibration (or its file); the spacing counts the frames given."""
        calibration = calib if isinstance(calib, CameraCalibration) else read_calibration(calib)
        return ClipBuilder(calibration, self.specification, self.inputs, spacing, name)

    def count(self, item: Mapping[str, Any], every: int, max_frames: int | None) -> int | None:
        """How many samples a drive will have; None for a video, whose length shows at its end."""
        source = read_rig(item["rig"])[0].images if item.get("rig") else item["left"]
        names = FrameSource(source).names
        if names is None:
            return None
        found = -(-len(names) // every)
        return found if max_frames is None else min(found, max_frames)

    def samples(
        self,
        item: Mapping[str, Any],
        spacing: HistorySpacing,
        static: bool,
        every: int,
        max_frames: int | None,
    ) -> Iterator[dict[str, Any]]:
        """Reads one drive; the spacing in numbers of frames, where their names are numbers.

        The other arguments are those of ``HTCLInferencer.preprocess``.
        """
        read = self._rig_samples if item.get("rig") else self._pair_samples
        last = None if max_frames is None else (max_frames - 1) * every
        for index, sample in enumerate(read(item, spacing, static)):
            if index % every == 0:
                yield sample
            if index == last:
                return

    def _pair_samples(
        self, item: Mapping[str, Any], spacing: HistorySpacing, static: bool
    ) -> Iterator[dict[str, Any]]:
        """All samples of a camera or a pair."""
        left = FrameSource(item["left"])
        right = self._right_source(left, item.get("right"))
        spacing = _in_frames_given(left, spacing)
        poses = self._poses(left, item.get("poses"), static, needs_poses(self.inputs, spacing))
        name = plain_name(str(item.get("name") or left.title), "the sequence's name (--name)")
        builder = self.builder(item["calib"], spacing, name)
        rights = None if right is None else iter(right)
        index = -1
        for index, frame in enumerate(left):
            partner = None if rights is None else next(rights, None)
            if rights is not None and partner is None:
                raise _unequal(item, "right", index)
            yield builder.push(frame, partner, poses(index))
        if index < 0:
            raise InvalidValueError(f"{item['left']}: no frame could be read")
        if rights is not None and next(rights, None) is not None:
            raise _unequal(item, "left", index + 1)

    def _rig_samples(
        self, item: Mapping[str, Any], spacing: HistorySpacing, static: bool
    ) -> Iterator[dict[str, Any]]:
        """All samples of several cameras."""
        if self.stereo:
            raise no_stereo_rig(item["rig"])
        cameras = read_rig(item["rig"])
        sources = [FrameSource(camera.images) for camera in cameras]
        first = sources[0]
        for camera, source in zip(cameras, sources, strict=True):
            known = first.names is not None and source.names is not None
            if known and len(first.names or ()) != len(source.names or ()):
                raise _unequal_cameras(cameras[0], camera, len(first.names or ()), source)
        spacing = _in_frames_given(first, spacing)
        poses = self._poses(first, item.get("poses"), static, needs_poses(self.inputs, spacing))
        name = str(item.get("name") or Path(item["rig"]).resolve().parent.name)
        name = plain_name(name, "the sequence's name (--name)")
        builder = RigBuilder(cameras, self.specification, self.inputs, spacing, name)
        for index, frames in enumerate(zip(*sources, strict=False)):
            yield builder.push(frames, poses(index))

    def _right_source(self, left: FrameSource, source: Any) -> FrameSource | None:
        if not self.stereo:
            return None
        if source is None:
            raise InvalidValueError(
                "this stereo model needs the right images too (--right); a mono model, such as "
                "that of htcl_mono.py, takes the left ones alone"
            )
        right = FrameSource(source)
        check_pair(left, right)
        return right

    def _poses(
        self, left: FrameSource, source: Any, static: bool, needed: bool
    ) -> Callable[[int], np.ndarray]:
        """A function from the index of a frame to its pose."""
        # The motion of a single frame to itself is none, whatever its pose.
        single = left.names is not None and len(left.names) == 1
        if not needed or (source is None and (static or single)):
            return lambda index: np.eye(4)
        if source is None:
            raise InvalidValueError(
                "this model needs to know how the camera moved between the frames: give the poses "
                "(--poses, a file in the format of KITTI's poses.txt), or say that the camera does "
                "not move (--static)"
            )
        where = str(source) if isinstance(source, str | Path) else "poses"
        poses = read_poses(source) if isinstance(source, str | Path) else np.asarray(source)
        lines: Sequence[int] = range(len(poses))
        if left.names is not None and len(left.names) != len(poses):
            # A file of the whole sequence: line n belongs to frame n.
            numbers = frame_numbers(left.names)
            if numbers is None or max(numbers) >= len(poses):
                raise InvalidValueError(
                    f"{where}: {len(poses)} poses for {len(left.names)} frames: give one line a "
                    "frame, or number the frames by their line (000000 is the first)"
                )
            lines = numbers

        def pose(index: int) -> np.ndarray:
            if index >= len(lines):
                raise InvalidValueError(
                    f"{where}: {len(poses)} poses, but the video has more frames; one line a frame "
                    "is needed"
                )
            return poses[lines[index]]

        return pose


def _in_frames_given(left: FrameSource, spacing: HistorySpacing) -> HistorySpacing:
    """A spacing in numbers of frames as one in frames given, which may be every fifth, say."""
    if spacing.num_history == 0 or left.names is None:
        return spacing
    step = frame_step(left.names) or 1
    if spacing.needs_poses:
        return replace(spacing, history_max_frames=max(spacing.history_max_frames // step, 1))
    if any(distance % step for distance in spacing.frames):
        raise InvalidValueError(
            f"a gap in the history: the frames are numbered in steps of {step}, but the history "
            f"takes those {', '.join(map(str, spacing.frames))} before: give the frames between "
            f"them, or --history-stride {step}"
        )
    return replace(spacing, history_stride=[distance // step for distance in spacing.frames])


def _unequal_cameras(
    first: RigCamera, other: RigCamera, count: int, source: FrameSource
) -> InvalidValueError:
    return InvalidValueError(
        f"{first.images} has {count} images of {first.name}, but {other.images} has "
        f"{len(source.names or ())} of {other.name}: every camera needs one at each time"
    )


def _unequal(item: Mapping[str, Any], shorter: str, count: int) -> InvalidValueError:
    longer = {"left": "right", "right": "left"}[shorter]
    return InvalidValueError(
        f"{item[shorter]} ends after {count} frames, but {item[longer]} has more: each left frame "
        "needs its right one"
    )
