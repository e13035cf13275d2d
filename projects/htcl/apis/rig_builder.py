"""Samples of several cameras around a car."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from htcl.apis.clip_builder import ClipBuilder
from htcl.apis.frame_source import Frame
from htcl.apis.rig_file import RigCamera
from htcl.datasets.history_spacing import HistorySpacing
from htcl.datasets.specification import DatasetSpecification
from htcl.errors import InvalidValueError


class RigBuilder:
    """Keeps the history of each camera and makes one sample of all.

    Args:
        cameras: The cameras; the first one names the frames.
        specification: What the network predicts.
        inputs: Names of what it needs.
        spacing: Number and distance of the history frames, that of the first camera for all.
        sequence: Name of the sequence.

    Raises:
        InvalidValueError: If the network is a stereo one.
    """

    def __init__(
        self,
        cameras: Sequence[RigCamera],
        specification: DatasetSpecification,
        inputs: frozenset[str],
        spacing: HistorySpacing,
        sequence: str,
    ) -> None:
        self._mountings = [camera.calibration.kitti.lidar_from_camera for camera in cameras]
        self._builders = [
            ClipBuilder(c.calibration, specification, inputs, spacing, sequence, c.name)
            for c in cameras
        ]

    def push(self, frames: Sequence[Frame], world_from_reference: np.ndarray) -> dict[str, Any]:
        """Makes a sample of the next frame of every camera.

        Args:
            frames: One of each camera, in their order.
            world_from_reference: (4, 4) pose of the frame of the voxels.

        Raises:
            InvalidValueError: If a frame does not fit its history or calibration.
        """
        samples = []
        distances = None
        for builder, frame, mounting in zip(self._builders, frames, self._mountings, strict=True):
            pose = world_from_reference @ mounting
            samples.append(builder.push(frame, None, pose, distances))
            distances = builder.distances
        decoded: dict[str, np.ndarray] = {}
        for sample in samples:
            decoded |= sample["decoded"]
        cameras = [camera for sample in samples for camera in sample["cameras"]]
        return {**samples[0], "cameras": cameras, "decoded": decoded}


def no_stereo_rig(path: Any) -> InvalidValueError:
    """What is raised for a network that wants pairs."""
    return InvalidValueError(
        f"{path}: this stereo model needs a right image of each camera, which a rig does not have; "
        "take a model without stereo, or --left, --right and --calib"
    )
