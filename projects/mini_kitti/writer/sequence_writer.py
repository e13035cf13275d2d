"""Makes one sequence in the SemanticKITTI layout: street, images, scans and ground truth."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from htcl.datasets.voxel_files import write_voxel_labels, write_voxel_mask
from htcl.datasets.voxelizer import LidarScan, voxelize
from mini_kitti.sensors.lidar import scan_street
from mini_kitti.sensors.light import Light
from mini_kitti.sensors.rendering import render_image
from mini_kitti.sensors.rig import camera_height_of, make_rig
from mini_kitti.sensors.shading import warm_up as warm_up_shading
from mini_kitti.sensors.view import View
from mini_kitti.street.scene import build_scene
from mini_kitti.street.trajectory import drive_poses
from mini_kitti.writer.settings import MiniKittiSettings, is_test

__all__ = ["MARKER", "SequenceWriter", "num_steps", "warm_up", "write_sequence"]

MARKER = "SYNTHETIC.json"
_FRAME_INTERVAL = 0.1  # seconds between frames (10 Hz)
# The ground truth of a frame gathers the scans of this stretch of the drive (metres behind and
# ahead).
_SCANS_BEHIND, _SCANS_AHEAD = 10.0, 54.0
_EXTRA_SCAN_STRIDE = 2
_VIEW_SPACING = 6.0  # metres between viewpoints for the invalid mask
_CAMERAS = {"image_2": "P2", "image_3": "P3"}
_STREAMS = {"image_2": 10, "image_3": 11, "lidar": 12}  # of random numbers
_FARTHEST_STEP = 1.5


def num_steps(settings: MiniKittiSettings, sequence: str) -> int:
    """Return how often write_sequence reports progress."""
    frames = settings.num_frames(sequence)
    return frames + len(range(0, frames, settings.voxel_stride))


def write_sequence(
    root: Path,
    sequence: str,
    settings: MiniKittiSettings,
    progress: Callable[[int], object] = lambda steps: None,
) -> Path:
    """Write a sequence; it appears under its name only when it is complete.

    Args:
        root: Data set root; files go to ``root/sequences/XX``.
        sequence: Two digits.
        settings: What to make.
        progress: Called with the number of steps just done.

    Returns:
        The folder of the sequence.
    """
    final = root / "sequences" / sequence
    partial = root / "sequences" / f".{sequence}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    SequenceWriter(partial, sequence, settings, progress).write()
    (partial / MARKER).write_text(settings.as_json(sequence))
    partial.rename(final)
    return final


def warm_up() -> None:
    """Compile what is compiled (the compiler keeps it on disk)."""
    warm_up_shading()
    empty = np.zeros((1, 3), dtype=np.float32), np.zeros(1, dtype=np.uint32), np.eye(4)
    voxelize([empty], np.eye(4), 0)


class SequenceWriter:
    """Draws the street, rig and drive of a sequence and writes its files.

    Args:
        folder: Where the files go.
        sequence: Two digits.
        settings: What to make.
        progress: Called with the number of steps just done.
    """

    def __init__(
        self,
        folder: Path,
        sequence: str,
        settings: MiniKittiSettings,
        progress: Callable[[int], object],
    ) -> None:
        self.folder, self.settings, self.progress = folder, settings, progress
        self.number, self.labelled = int(sequence), not is_test(sequence)
        rng = self._rng(0)
        self.step = float(rng.uniform(1.0, _FARTHEST_STEP))
        self.rig = make_rig(rng, settings.image_size, camera_height_of(self.number))
        self.frames = settings.num_frames(sequence)
        # Streets have the same length whatever the drawn speed, so that --frames alone decides it.
        self.scene = build_scene(settings.seed, self.number, _FARTHEST_STEP * self.frames)
        reach = (-20.0, self.frames * self.step + 80.0)
        self.light = Light.of_scene(self.scene, int(rng.integers(1 << 31)), reach)
        self.pose_seed = int(rng.integers(1 << 31))

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self.settings.seed, self.number, *stream])

    def poses(self, frames: np.ndarray) -> np.ndarray:
        """Return world_from_camera0 (T, 4, 4) of frame numbers (T,)."""
        scene, height = self.scene, self.rig.camera_height
        return drive_poses(scene.road, scene.lane, self.step, height, frames, self.pose_seed)

    def write(self) -> None:
        """Write all files."""
        poses = self.poses(np.arange(self.frames))
        self._write_text(poses)
        scans: dict[int, LidarScan] = {}
        for frame, pose in enumerate(poses):
            for name, camera in _CAMERAS.items():
                rng = self._rng(_STREAMS[name], frame)
                image = render_image(self.scene, self.light, View(self.rig, camera, pose), rng)
                path = self._path(name, frame, "png")
                if not cv2.imwrite(str(path), np.ascontiguousarray(image[..., ::-1])):
                    raise OSError(f"{path}: could not write the image (disk full?)")
            scans[frame] = self._scan(frame, pose)
            scans[frame].points.astype("<f4").tofile(self._path("velodyne", frame, "bin"))
            if self.labelled:
                scans[frame].labels.astype("<u4").tofile(self._path("labels", frame, "label"))
            self.progress(1)
        if self.labelled:
            self._add_extra_scans(scans)
        for frame in range(0, self.frames, self.settings.voxel_stride):
            self._write_voxels(frame, scans)
            self.progress(1)

    def _add_extra_scans(self, scans: dict[int, LidarScan]) -> None:
        """Scan before the start and beyond the end of the drive, only for dense ground truth."""
        ahead = self.frames + int(np.ceil(_SCANS_AHEAD / self.step))
        behind = -int(_SCANS_BEHIND / self.step)
        before = range(behind, 0, _EXTRA_SCAN_STRIDE)
        extra = [*before, *range(self.frames, ahead, _EXTRA_SCAN_STRIDE)]
        for frame, pose in zip(extra, self.poses(np.array(extra)), strict=True):
            scans[frame] = self._scan(frame, pose)

    def _scan(self, frame: int, world_from_camera: np.ndarray) -> LidarScan:
        world_from_lidar = world_from_camera @ self.rig.camera_from_lidar
        # Frame numbers before the start are negative, seeds are not.
        rng = self._rng(_STREAMS["lidar"], frame + 10_000)
        columns = self.settings.lidar_azimuths
        return LidarScan(*scan_street(self.scene, world_from_lidar, rng, columns), world_from_lidar)

    def _write_voxels(self, frame: int, scans: dict[int, LidarScan]) -> None:
        pose = scans[frame].pose
        if not self.labelled:
            seen = voxelize([scans[frame]], pose, 0).bin
            write_voxel_mask(self._path("voxels", frame, "bin"), seen)
            return
        first, last = frame - _SCANS_BEHIND / self.step, frame + _SCANS_AHEAD / self.step
        chosen = [number for number in sorted(scans) if first <= number <= last]
        stride = max(1, round(_VIEW_SPACING / self.step))
        result = voxelize(
            [scans[number] for number in chosen], pose, chosen.index(frame), view_stride=stride
        )
        write_voxel_labels(self._path("voxels", frame, "label"), result.label)
        for name in ("bin", "invalid", "occluded"):
            write_voxel_mask(self._path("voxels", frame, name), getattr(result, name))

    def _write_text(self, poses: np.ndarray) -> None:
        rows = {**self.rig.projections, "Tr": self.rig.camera_from_lidar[:3]}
        lines = (f"{k}: " + " ".join(f"{x:.12e}" for x in row.ravel()) for k, row in rows.items())
        (self.folder / "calib.txt").write_text("\n".join(lines) + "\n")
        first_from_camera = np.linalg.inv(poses[0]) @ poses
        text = first_from_camera[:, :3].reshape(len(poses), 12)
        np.savetxt(self.folder / "poses.txt", text, fmt="%.9e")
        times = np.arange(len(poses)) * _FRAME_INTERVAL
        np.savetxt(self.folder / "times.txt", times, fmt="%.6e")

    def _path(self, kind: str, frame: int, suffix: str) -> Path:
        (self.folder / kind).mkdir(exist_ok=True)
        return self.folder / kind / f"{frame:06d}.{suffix}"
