"""The drive: camera poses along the street."""

from __future__ import annotations

import numpy as np

from mini_kitti.street.road import Road

__all__ = ["drive_poses"]


def drive_poses(
    road: Road, lane: float, step: float, camera_height: float, frames: np.ndarray, seed: int
) -> np.ndarray:
    """Return world_from_camera0 (T, 4, 4) for frame numbers (also negative or fractional ones).

    The car follows its lane with a slow drift, pitches with the hills and swings a little on its
    springs.

    Args:
        road: Street surface.
        lane: d of the lane in metres.
        step: Metres between frames.
        camera_height: Camera 0 above the ground in metres.
        frames: (T,) frame numbers.
        seed: Of drift and swing.
    """
    rng = np.random.default_rng(seed)
    rates, phases = rng.uniform(0.15, 0.55, size=(5, 2)), rng.uniform(0, 2 * np.pi, size=(5, 2))

    def wobble(row: int, at: np.ndarray) -> np.ndarray:
        return sum(np.sin(rates[row, k] * at + phases[row, k]) for k in range(2)) / 2

    frames = np.asarray(frames, dtype=np.float64)
    s = frames * step

    def track(at: np.ndarray) -> np.ndarray:
        drift = 0.22 * np.sin(0.06 * at + phases[0, 0])
        return road.world(at, lane + drift, camera_height)

    position = track(s)
    forward = track(s + 1.0) - track(s - 1.0)
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    yaw = np.arctan2(forward[:, 1], forward[:, 0]) + 0.004 * wobble(1, frames)
    pitch = np.arcsin(forward[:, 2]) + 0.004 * wobble(2, frames)
    roll = 0.005 * wobble(3, frames)
    position[:, 2] += 0.015 * wobble(4, frames)
    front = np.column_stack(
        [np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)]
    )
    level = np.column_stack([np.sin(yaw), -np.cos(yaw), np.zeros_like(yaw)])
    up = np.cross(level, front)
    right = np.cos(roll)[:, None] * level + np.sin(roll)[:, None] * up
    down = np.cross(front, right)
    poses = np.tile(np.eye(4), (len(frames), 1, 1))
    poses[:, :3, 0], poses[:, :3, 1], poses[:, :3, 2] = right, down, front
    poses[:, :3, 3] = position
    return poses
