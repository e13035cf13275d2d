"""From one frame after another to the samples that a config's pipeline takes.

Shape letters: T frame.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from htcl.apis.camera_file import CameraCalibration
from htcl.apis.frame_source import Frame
from htcl.datasets.sample_info import CameraInfo
from htcl.datasets.specification import DatasetSpecification
from htcl.errors import InvalidValueError
from htcl.geometry import relative_motion


@dataclass(eq=False)
class ClipBuilder:
    """Keeps the history and adds it to each new frame.

    At the beginning of a sequence the oldest frame stands in for those before it, as in the data
    set.

    Args:
        calibration: Of the camera or the pair.
        specification: What the network predicts.
        inputs: Names of what it needs, see :mod:`htcl.models.interfaces`.
        num_history: Number of history frames of a clip, T - 1.
        history_stride: Distance of the history frames, in frames given.
        sequence: Name of the sequence.

    Raises:
        InvalidValueError: If the stride is not positive, or a stereo network has no baseline.
    """

    calibration: CameraCalibration
    specification: DatasetSpecification
    inputs: frozenset[str]
    num_history: int
    history_stride: int = 1
    sequence: str = "clip"

    def __post_init__(self) -> None:
        """Checks that the clips can be made."""
        if self.history_stride < 1:
            raise InvalidValueError(
                f"history_stride must be at least 1, found {self.history_stride}"
            )
        if "right" in self.inputs and not self.calibration.stereo:
            raise InvalidValueError(
                f"{self.calibration.path}: calibration lacks baseline, the distance of the two "
                "cameras in metres, which this stereo model needs"
            )
        self._past: deque[tuple[Frame, np.ndarray]] = deque(
            maxlen=self.num_history * self.history_stride + 1
        )

    def push(
        self, left: Frame, right: Frame | None = None, pose: np.ndarray | None = None
    ) -> dict[str, Any]:
        """Makes a sample of the next frame; one that is refused does not become history.

        Args:
            left: Left frame.
            right: Right frame, if the clips need it.
            pose: (4, 4) ``world_from_camera`` of camera 0, if the clips need poses.

        Raises:
            InvalidValueError: If right image or pose is missing, or the images do not fit one
                another or the calibration.
        """
        self._check(left, right, pose)
        past = self._past.copy()
        past.append((left, np.eye(4) if pose is None else pose))
        frames = [frame for frame, _ in past]
        current = len(past) - 1
        steps = range(self.num_history, 0, -1)
        indices = [max(current - step * self.history_stride, 0) for step in steps]
        decoded = {frames[i].place: frames[i].image for i in (*indices, current)}
        kitti = self.calibration.for_image(left.image.shape[:2])
        camera = CameraInfo(
            name="left",
            image=left.place,
            right=None,
            history=[frames[i].place for i in indices],
            intrinsics=kitti.p2,
            reference_from_camera=kitti.lidar_from_camera,
            focal_baseline=None,
            current_from_history=None,
        )
        if "right" in self.inputs and right is not None:
            camera.update({"right": right.place, "focal_baseline": kitti.focal_baseline})
            decoded[right.place] = right.image
        if "current_from_history" in self.inputs:
            poses = np.stack([pose for _, pose in past])
            camera["current_from_history"] = relative_motion(poses, current, indices)
        self._past = past
        return {
            "sequence": self.sequence,
            "frame": left.name,
            "frame_index": current,
            "cameras": [camera],
            "lidar": None,
            "lidar_labels": None,
            "labels": {},
            "decoded": decoded,
            "specification": self.specification,
            "inputs": self.inputs,
            "with_labels": False,
        }

    def _check(self, left: Frame, right: Frame | None, pose: np.ndarray | None) -> None:
        if "right" in self.inputs and right is None:
            raise InvalidValueError(
                f"{left.place}: the right image is missing, which this stereo model needs"
            )
        if "current_from_history" in self.inputs and pose is None:
            raise InvalidValueError(f"{left.place}: the pose is missing, which this model needs")
        if pose is not None and np.shape(pose) != (4, 4):
            raise InvalidValueError(f"{left.place}: a pose is (4, 4), found {np.shape(pose)}")
        others = [right] if right and "right" in self.inputs else []
        others += [frame for frame, _ in list(self._past)[-1:]]
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
