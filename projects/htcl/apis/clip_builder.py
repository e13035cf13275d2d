"""From one frame after another to the samples that a config's pipeline takes.

Shape letters: T frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from htcl.apis.camera_file import CameraCalibration
from htcl.apis.frame_source import Frame
from htcl.datasets.history_spacing import HistorySpacing
from htcl.datasets.plausibility import check_rigid, check_track
from htcl.datasets.sample_info import CameraInfo
from htcl.datasets.specification import DatasetSpecification
from htcl.errors import InvalidValueError
from htcl.geometry import relative_motion


class _Moment(NamedTuple):
    """A frame of the past: both images and the pose (4, 4) ``world_from_camera``."""

    left: Frame
    right: Frame | None
    pose: np.ndarray


def needs_right(inputs: frozenset[str]) -> bool:
    """Whether clips with such inputs are made of left and right images."""
    return not inputs.isdisjoint({"right", "history_right"})


def needs_poses(inputs: frozenset[str], spacing: HistorySpacing) -> bool:
    """Whether clips with such inputs and history take poses."""
    return "current_from_history" in inputs or spacing.needs_poses


@dataclass(eq=False)
class ClipBuilder:
    """Keeps the history and adds it to each new frame.

    At the beginning of a sequence the oldest frame stands in for those before it, as in the data
    set.

    Args:
        calibration: Of the camera or the pair.
        specification: What the network predicts.
        inputs: Names of what it needs, see :mod:`htcl.models.interfaces`.
        spacing: Number and distance of the history frames; distances count the frames given.
        sequence: Name of the sequence.
        camera: Name of the camera.

    Attributes:
        distances: Of the history frames of the last sample, in frames given.

    Raises:
        InvalidValueError: If a stereo network has no baseline.
    """

    calibration: CameraCalibration
    specification: DatasetSpecification
    inputs: frozenset[str]
    spacing: HistorySpacing
    sequence: str = "clip"
    camera: str = "left"
    distances: Sequence[int] = ()

    def __post_init__(self) -> None:
        """Checks that the clips can be made."""
        self._stereo = needs_right(self.inputs)
        self._posed = needs_poses(self.inputs, self.spacing)
        if self._stereo and not self.calibration.stereo:
            raise InvalidValueError(
                f"{self.calibration.path}: calibration lacks baseline, the distance of the two "
                "cameras in metres, which this stereo model needs"
            )
        self._past: deque[_Moment] = deque(maxlen=self.spacing.reach + 1)

    def push(
        self,
        left: Frame,
        right: Frame | None = None,
        pose: np.ndarray | None = None,
        distances: Sequence[int] | None = None,
    ) -> dict[str, Any]:
        """Makes a sample of the next frame; one that is refused does not become history.

        Args:
            left: Left frame.
            right: Right frame, if the clips need it.
            pose: (4, 4) ``world_from_camera`` of camera 0, if the clips need poses.
            distances: Of the history frames, if another camera has chosen them.

        Raises:
            InvalidValueError: If right image or pose is missing, or the images do not fit one
                another or the calibration.
        """
        self._check(left, right, pose)
        past = self._past.copy()
        # Right images of the past are kept only for networks that look at them.
        kept = right if "history_right" in self.inputs else None
        past.append(_Moment(left, kept, np.eye(4) if pose is None else pose))
        current = len(past) - 1
        poses = [moment.pose for moment in past]
        self.distances = self.spacing.distances(current, poses) if distances is None else distances
        indices = [current - distance for distance in self.distances]
        history = [past[i] for i in indices]
        rights = [moment.right for moment in history if moment.right is not None]
        used = [*(moment.left for moment in history), *rights, left]
        kitti = self.calibration.for_image(left.image.shape[:2])
        camera = CameraInfo(
            name=self.camera,
            image=left.place,
            right=None,
            history=[moment.left.place for moment in history],
            history_right=[frame.place for frame in rights],
            intrinsics=kitti.p2,
            reference_from_camera=kitti.lidar_from_camera,
            focal_baseline=None,
            current_from_history=None,
        )
        if self._stereo and right is not None:
            camera.update({"right": right.place, "focal_baseline": kitti.focal_baseline})
            used.append(right)
        if "current_from_history" in self.inputs:
            camera["current_from_history"] = relative_motion(np.stack(poses), current, indices)
        self._past = past
        return {
            "sequence": self.sequence,
            "frame": left.name,
            "frame_index": current,
            "cameras": [camera],
            "lidar": None,
            "lidar_labels": None,
            "labels": {},
            "decoded": {frame.place: frame.image for frame in used},
            "specification": self.specification,
            "inputs": self.inputs,
            "with_labels": False,
        }

    def _check(self, left: Frame, right: Frame | None, pose: np.ndarray | None) -> None:
        if self._stereo and right is None:
            raise InvalidValueError(
                f"{left.place}: the right image is missing, which this stereo model needs"
            )
        if self._posed and pose is None:
            raise InvalidValueError(f"{left.place}: the pose is missing, which this model needs")
        if pose is not None:
            check_rigid(pose, f"{left.place}: pose")
        if pose is not None and self._past:
            check_track([self._past[-1].pose, pose], f"{left.place}: poses")
        others = [right] if right and self._stereo else []
        others += [moment.left for moment in list(self._past)[-1:]]
        for frame in (left, *others):
            image = frame.image
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise InvalidValueError(
                    f"{frame.place}: an image is RGB uint8 (height, width, 3), "
                    f"found {image.dtype} {image.shape}"
                )
            if image.shape != left.image.shape:
                this, other = (
                    f"{f.place} is {f.image.shape[1]} x {f.image.shape[0]}" for f in (frame, left)
                )
                raise InvalidValueError(
                    f"images of different sizes: {this}, {other}; left and right images and all "
                    "frames of a history must have one size"
                )
