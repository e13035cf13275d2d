"""Loads calibration and ego motion.

Shape letters: T frame.
"""

from __future__ import annotations

import os
from functools import lru_cache

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet3d.registry import TRANSFORMS

from htcl.datasets.calibration import KittiCalibration, read_poses, relative_motion


@TRANSFORMS.register_module()
class LoadCalibrationAndPoses(BaseTransform):
    """Reads ``calib.txt`` and, if wanted, the motion within the clip from ``poses.txt``.

    Required Keys: calib_path; poses_path, frame_index and frame_indices (if ``poses``).

    Optional Keys, in place of the two files:
        calibration: A :class:`~htcl.datasets.calibration.KittiCalibration`.
        poses: (N, 4, 4) ``world_from_camera``.

    Added Keys (float32 unless stated; camera = rectified camera 0):
        intrinsics_left: (4, 4), P2 with a fourth row (0, 0, 0, 1), original pixels, fourth column
            kept.
        intrinsics_right: (4, 4), P3 likewise.
        lidar_from_camera: (4, 4), inverse of Tr.
        augmented_from_lidar: (4, 4) identity, for augmentations to multiply into.
        focal_baseline: (), P2[0,3] - P3[0,3], pixel metres at original resolution.
        current_from_frame: (T, 4, 4), point in the camera frame at each frame -> at the current
            frame, if ``poses``.

    Args:
        poses: Add ``current_from_frame``. The released configuration does not use poses; the right
            one does.

    Raises:
        FileNotFoundError: If a file is absent.
        KeyError: If a key is missing in the calibration.
        ValueError: If a file is malformed, or has no pose for a frame.
    """

    def __init__(self, poses: bool = True) -> None:
        self.poses = poses

    def required_files(self, results: dict) -> list[tuple[str | None, ...]]:
        """Names the files that a sample needs, each as a tuple of alternatives."""
        files = [(results["calib_path"],)]
        if self.poses:
            files.append((results["poses_path"],))
        return files

    def transform(self, results: dict) -> dict:
        """Adds the matrices."""
        calibration = results.get("calibration")
        if calibration is None:
            calibration = _calibration(*_version(results["calib_path"]))
        results["intrinsics_left"] = calibration.intrinsics_left.astype(np.float32)
        results["intrinsics_right"] = calibration.intrinsics_right.astype(np.float32)
        results["lidar_from_camera"] = calibration.lidar_from_camera.astype(np.float32)
        results["augmented_from_lidar"] = np.eye(4, dtype=np.float32)
        results["focal_baseline"] = np.float32(calibration.focal_baseline)
        if self.poses:
            path, poses = results.get("poses_path"), results.get("poses")
            if poses is None:
                if path is None:
                    raise FileNotFoundError(
                        f"sequence {results.get('sequence')}: no poses.txt found "
                        f"beside {results['calib_path']}"
                    )
                poses = _poses(*_version(path))
            current, frames = results["frame_index"], list(results["frame_indices"])
            last = max(current, *frames)
            if last >= len(poses):
                raise ValueError(
                    f"{path}: {len(poses)} poses, but frame {last} needs line {last + 1}"
                )
            results["current_from_frame"] = relative_motion(poses, current, frames).astype(
                np.float32
            )
        return results

    def __repr__(self) -> str:
        """Names the step and its settings."""
        return f"{type(self).__name__}(poses={self.poses})"


def _version(path: str) -> tuple[str, int]:
    """A cache key that changes when the file does; a missing file is left to its reader."""
    return path, os.stat(path).st_mtime_ns if os.path.exists(path) else 0


@lru_cache(maxsize=32)
def _calibration(path: str, _version: int) -> KittiCalibration:
    return KittiCalibration.from_file(path)


@lru_cache(maxsize=32)
def _poses(path: str, _version: int) -> np.ndarray:
    return read_poses(path)
