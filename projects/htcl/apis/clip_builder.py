"""From one frame after another to the samples that the test pipeline takes.

Shape letters: T frame.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np

from htcl.apis.camera_file import CameraCalibration
from htcl.apis.frame_source import Frame


class _Past(NamedTuple):
    place: str
    image: np.ndarray
    pose: np.ndarray | None


class ClipBuilder:
    """Keeps the history and adds it to each new frame.

    At the beginning of a sequence the oldest frame stands in for those before it, as in the data
    set.

    Args:
        calibration: Of the cameras.
        num_history: Number of history frames of a clip, T - 1.
        history_stride: Distance of the history frames, in frames given.
        right: Whether clips need the right image.
        poses: Whether clips need poses.
        sequence: Name of the sequence.

    Raises:
        ValueError: If the stride is not positive.
    """

    def __init__(
        self,
        calibration: CameraCalibration,
        num_history: int,
        history_stride: int = 1,
        right: bool = True,
        poses: bool = False,
        sequence: str = "clip",
    ) -> None:
        if history_stride < 1:
            raise ValueError(f"history_stride must be at least 1, found {history_stride}")
        if right and not calibration.stereo:
            raise KeyError(
                f"{calibration.path}: calibration lacks baseline, the distance of the two cameras "
                "in metres, which this stereo model needs"
            )
        self.calibration = calibration
        self.num_history = num_history
        self.history_stride = history_stride
        self.right = right
        self.poses = poses
        self.sequence = sequence
        self._past: deque[_Past] = deque(maxlen=num_history * history_stride + 1)

    def push(
        self, left: Frame, right: Frame | None = None, pose: np.ndarray | None = None
    ) -> dict[str, Any]:
        """Takes the next frame.

        Args:
            left: Left frame.
            right: Right frame, if the clips need it.
            pose: (4, 4) ``world_from_camera`` of camera 0, if the clips need poses.

        Returns:
            The sample, with decoded images, for the config's test pipeline.

        Raises:
            ValueError: If right image or pose is missing, or the images do not fit one another or
                the calibration.
        """
        self._check(left, right, pose)
        self._past.append(_Past(left.place, left.image, pose))
        current = len(self._past) - 1
        steps = range(self.num_history, -1, -1)
        indices = [max(current - step * self.history_stride, 0) for step in steps]
        images = {self._past[i].place: self._past[i].image for i in indices}
        sample = {
            "sequence": self.sequence,
            "frame": left.name,
            "frame_index": current,
            "frame_indices": indices,
            "left_path": left.place,
            "right_path": None,
            "frame_paths": [self._past[i].place for i in indices],
            "images": images,
            "calib_path": str(self.calibration.path),
            "calibration": self.calibration.for_image(left.image.shape[:2]),
        }
        if self.right:
            sample["right_path"] = right.place
            images[right.place] = right.image
        if self.poses:
            sample["poses"] = np.stack([past.pose for past in self._past])
        return sample

    def _check(self, left: Frame, right: Frame | None, pose: np.ndarray | None) -> None:
        if self.right and right is None:
            raise ValueError(
                f"{left.place}: the right image is missing, which this stereo model needs"
            )
        if self.poses and pose is None:
            raise ValueError(f"{left.place}: the pose is missing, which this model needs")
        if pose is not None and np.shape(pose) != (4, 4):
            raise ValueError(f"{left.place}: a pose is (4, 4), found {np.shape(pose)}")
        others = [right] if self.right else []
        if self._past:
            others.append(self._past[-1])
        for frame in (left, *others):
            image = frame.image
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise ValueError(
                    f"{frame.place}: an image is RGB uint8 (height, width, 3), "
                    f"found {image.dtype} {image.shape}"
                )
            if image.shape != left.image.shape:
                raise ValueError(
                    f"images of different sizes: {_size(frame.place, image)}, "
                    f"{_size(left.place, left.image)}; left and right images and all frames of a "
                    "history must have one size"
                )


def _size(place: str, image: np.ndarray) -> str:
    return f"{place} is {image.shape[1]} x {image.shape[0]}"
