"""What a data set knows of a sample before its files are read: N camera, T frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np

from htcl.errors import InvalidValueError

# Inputs that are made of earlier frames.
HISTORY_INPUTS = frozenset(
    {"history", "history_right", "history_depth_prior", "current_from_history"}
)


class CameraInfo(TypedDict, total=False):
    """One camera of a sample."""

    name: str
    image: str
    """The current image."""
    right: str | None
    """Its right partner, None if the camera has none."""
    depth: str | None
    """External depth of the current image, None if there is none."""
    history: list[str]
    """Earlier images, oldest first (T-1)."""
    history_right: list[str]
    """Their right partners; empty if one has none."""
    history_depth: list[str]
    """Their external depth; empty if one has none."""
    intrinsics: np.ndarray
    """(4, 4) float64, camera point -> original pixel, fourth column kept."""
    reference_from_camera: np.ndarray
    """(4, 4) float64, rigid, to the frame of the voxel grid."""
    image_size: tuple[int, int]
    """(height, width) of the images of the sequence, to which the intrinsics belong; if known."""
    focal_baseline: float | None
    """Focal length times baseline of the pair, original pixels times metres."""
    world_from_camera: np.ndarray | None
    """(4, 4) float64 pose of the moment; only before the history is known."""
    current_from_history: np.ndarray | None
    """(T-1, 4, 4) float64, camera frame at each earlier time -> current camera frame."""


class SampleInfo(TypedDict, total=False):
    """A sample; ``docs/data_contract.md`` has the whole contract."""

    sequence: str
    frame: str
    frame_index: int
    time: float | None
    """Seconds on the clock of the sequence; None if unknown."""
    cameras: list[CameraInfo]
    lidar: str | None
    """Lidar scan."""
    lidar_labels: str | None
    """Its point labels; None: those of the voxels that the points lie in."""
    lidar_columns: int
    """Numbers of a point in the scan, the coordinates first; without it 4."""
    reference_from_lidar: np.ndarray
    """(4, 4) float64, to the frame of the voxel grid; without it the two are the same."""
    labels: dict[str, Any]
    """Paths of the voxel labels, as their reader wants them."""
    calib_path: str
    """Where the matrices come from, for messages; likewise the next."""
    poses_path: str | None
    decoded: dict[str, np.ndarray]
    """Images by path (height, width, 3) uint8 RGB, in the place of files."""
    is_sample: bool
    """False for a frame that only serves as history; only before the history is known."""


def wanted_inputs(results: Mapping[str, Any], available: Mapping[str, bool]) -> set[str]:
    """Which inputs a transform has to load: those in ``inputs`` of the sample; if None, all there.

    Args:
        results: The sample.
        available: Whether the data set has each input that the transform can load.

    Raises:
        InvalidValueError: If an input is wanted by name, but not available.
    """
    wanted = results.get("inputs")
    if wanted is None:
        return {name for name, there in available.items() if there}
    for name in available:
        if name in wanted and not available[name]:
            raise InvalidValueError(
                f"sequence {results.get('sequence')} frame {results.get('frame')}: the input "
                f"{name!r} is wanted, but the data set has none: choose a network without it, or "
                "give what it needs (history: num_history above 0; current_from_history: poses; "
                "right, history_right: a second camera; points, depth_maps: lidar scans; "
                "depth_prior, history_depth_prior: files of external depth)"
            )
    return {name for name in available if name in wanted}


def calibration_name(sample: Mapping[str, Any], camera: CameraInfo) -> str:
    """What messages call the calibration of a camera: its file, if known, and the camera."""
    frame = f"sequence {sample.get('sequence')} frame {sample.get('frame')}"
    return f"{sample.get('calib_path') or frame}: camera {camera.get('name')!r}"
