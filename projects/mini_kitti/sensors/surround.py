"""A rig of six cameras around the car and a lidar on its roof, as nuScenes' cars have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from htcl.datasets.nuscenes_frames import CAMERAS
from mini_kitti.sensors.rig import Rig

__all__ = ["SurroundCamera", "make_surround_rig", "roof_lidar"]

# Of nuScenes' cars: yaw to the left in degrees, place in the ego frame in metres, focal length in
# widths of the image, and when the shutter opens before the scan, seconds.
_MOUNTED = {
    "CAM_FRONT_LEFT": (55.0, (1.52, 0.49, 1.51), 0.79, 0.043),
    "CAM_FRONT": (0.0, (1.70, 0.02, 1.51), 0.79, 0.035),
    "CAM_FRONT_RIGHT": (-55.0, (1.55, -0.49, 1.50), 0.79, 0.028),
    "CAM_BACK_LEFT": (108.0, (1.04, 0.48, 1.59), 0.79, 0.001),
    "CAM_BACK": (180.0, (0.03, 0.0, 1.57), 0.506, 0.010),
    "CAM_BACK_RIGHT": (-110.0, (1.01, -0.48, 1.56), 0.79, 0.020),
}
_LIDAR_PLACE = (0.94, 0.0, 1.84)


@dataclass(frozen=True)
class SurroundCamera:
    """One of the cameras.

    Attributes:
        rig: Its calibration under its own name: a camera alone, at its own origin.
        ego_from_camera: (4, 4).
        early: Seconds that it fires before the scan.
    """

    rig: Rig
    ego_from_camera: np.ndarray
    early: float


def make_surround_rig(image_size: tuple[int, int]) -> dict[str, SurroundCamera]:
    """The cameras by name, in the order of the benchmarks; ``image_size`` is (height, width)."""
    height, width = image_size
    cameras = {}
    for name in CAMERAS:
        yaw, place, focal, early = _MOUNTED[name]
        projection = np.zeros((3, 4))
        # The principal point lies below the middle, as in nuScenes.
        projection[:, :3] = [
            [focal * width, 0.0, width * 0.51 - 0.5],
            [0.0, focal * width, height * 0.54 - 0.5],
            [0.0, 0.0, 1.0],
        ]
        front = np.array([np.cos(np.radians(yaw)), np.sin(np.radians(yaw)), 0.0])
        pose = np.eye(4)
        pose[:3, :3] = np.column_stack([np.cross(front, [0, 0, 1]), [0, 0, -1], front])
        pose[:3, 3] = place
        rig = Rig({name: projection}, np.eye(4), image_size, place[2])
        cameras[name] = SurroundCamera(rig, pose, early)
    return cameras


def roof_lidar() -> np.ndarray:
    """``ego_from_lidar`` (4, 4) of the lidar: x right, y front, z up."""
    pose = np.array([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    pose[:3, 3] = _LIDAR_PLACE
    return pose
