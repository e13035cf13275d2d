"""Makes the files of one sequence in the SemanticKITTI layout: images, scans and ground truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.training_labels import make_training_label
from htcl.datasets.voxel_files import write_voxel_labels, write_voxel_mask
from htcl.datasets.voxelizer import LidarScan, VoxelizedFrame, visible_voxels, voxelize
from mini_kitti.sensors.lidar import scan_street
from mini_kitti.sensors.light import Light
from mini_kitti.sensors.rendering import render_image
from mini_kitti.sensors.rig import Rig, camera_height_of, make_rig
from mini_kitti.sensors.view import View
from mini_kitti.street.scene import build_scene
from mini_kitti.street.traffic import Drive
from mini_kitti.street.trajectory import drive_poses
from mini_kitti.writer.settings import MiniKittiSettings, is_test

__all__ = ["FRAME_INTERVAL", "READY", "SequenceWriter"]

FRAME_INTERVAL = 0.1  # seconds between frames (10 Hz)
# The ground truth of a frame gathers the scans of this stretch of the drive (metres behind and
# ahead).
_SCANS_BEHIND, _SCANS_AHEAD = 10.0, 54.0
_EXTRA_SCAN_STRIDE = 2
# Points that count, metres; there is no car under the lidar of a street.
_REACH: Mapping[str, Any] = {"max_range": 50.0, "car_box": None}
# Besides the frame itself, the invalid mask is what is not seen from here (metres along the drive).
# The first and the last scan see most; these few make nearly the mask of one every six metres.
_VIEWPOINTS = (-_SCANS_BEHIND, 18.0, 36.0, _SCANS_AHEAD)
_STREAMS = {"P2": 10, "P3": 11, "P0": 10, "P1": 11, "lidar": 12}  # of random numbers
_FARTHEST_STEP = 1.5
READY = "ready"  # folder of training labels in an unfinished sequence
# Good compression of camera noise at no more time than the default.
_PNG = [
    cv2.IMWRITE_PNG_FILTER,
    cv2.IMWRITE_PNG_FILTER_PAETH,
    cv2.IMWRITE_PNG_STRATEGY,
    cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY,
]


class SequenceWriter:
    """Draws the street, rig and drive of a sequence and writes its files.

    A subclass writes another layout.

    Args:
        folder: Where the files go.
        sequence: Its name.
        settings: What to make.
        progress: Called with the number of steps just done.
    """

    # Folder of the images of each camera, by the name of its projection.
    cameras: ClassVar[dict[str, str]] = {"P2": "image_2", "P3": "image_3"}

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
        self.rig = self.make_rig(rng)
        self.frames = settings.num_frames(sequence)
        # Streets have the same length whatever the drawn speed, so that --frames alone decides it.
        length = _FARTHEST_STEP * self.frames
        drive = self._drive() if settings.has_traffic(sequence) else None
        self.scene = build_scene(settings.seed, self.number, length, drive)
        reach = (-20.0, self.frames * self.step + 80.0)
        self.light = Light.of_scene(self.scene, int(rng.integers(1 << 31)), reach)
        self.pose_seed = int(rng.integers(1 << 31))

    def make_rig(self, rng: np.random.Generator) -> Rig:
        """Draw the sensors."""
        return make_rig(rng, self.settings.image_size, camera_height_of(self.number))

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self.settings.seed, self.number, *stream])

    def _drive(self) -> Drive:
        moments = np.array([-_SCANS_BEHIND / self.step, self.frames + _SCANS_AHEAD / self.step])
        first, last = moments * FRAME_INTERVAL
        return Drive(self.step / FRAME_INTERVAL, first, last, self.frames * FRAME_INTERVAL)

    def poses(self, frames: np.ndarray) -> np.ndarray:
        """Return world_from_camera0 (T, 4, 4) of frame numbers (T,)."""
        scene, height = self.scene, self.rig.camera_height
        return drive_poses(scene.road, scene.lane, self.step, height, frames, self.pose_seed)

    def write(self) -> None:
        """Write all files."""
        poses = self.poses(np.arange(self.frames))
        self.write_text(poses)
        scans: dict[int, LidarScan] = {}
        for frame, pose in enumerate(poses):
            self.scene.move_to(frame * FRAME_INTERVAL)
            light = self.light.with_moving(self.scene)
            for camera, name in self.cameras.items():
                rng = self._rng(_STREAMS[camera], frame)
                image = render_image(self.scene, light, View(self.rig, camera, pose), rng)
                path = self.path(name, frame, "png")
                if not cv2.imwrite(str(path), np.ascontiguousarray(image[..., ::-1]), _PNG):
                    raise OSError(f"{path}: could not write the image (disk full?)")
            scans[frame] = self._scan(frame, pose)
            if not self.settings.lean or frame % self.settings.label_every == 0:
                self.write_scan(frame, scans[frame])
            self.progress(1)
        if self.labelled:
            self._add_extra_scans(scans)
        for frame in range(0, self.frames, self.settings.label_every):
            self._write_voxels(frame, scans)
            self.progress(1)

    def write_scan(self, frame: int, scan: LidarScan) -> None:
        """Write the scan of a frame."""
        scan.points.astype("<f4").tofile(self.path("velodyne", frame, "bin"))
        if self.labelled:
            scan.labels.astype("<u4").tofile(self.path("labels", frame, "label"))

    def _add_extra_scans(self, scans: dict[int, LidarScan]) -> None:
        """Scan before the start and beyond the end of the drive, only for dense ground truth.

        What moves, moves then too.
        """
        ahead = self.frames + int(np.ceil(_SCANS_AHEAD / self.step))
        behind = -int(_SCANS_BEHIND / self.step)
        before = range(behind, 0, _EXTRA_SCAN_STRIDE)
        extra = [*before, *range(self.frames, ahead, _EXTRA_SCAN_STRIDE)]
        for frame, pose in zip(extra, self.poses(np.array(extra)), strict=True):
            self.scene.move_to(frame * FRAME_INTERVAL)
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
            seen = voxelize([scans[frame]], pose, 0, **_REACH).bin
            write_voxel_mask(self.path("voxels", frame, "bin"), seen)
            return
        first, last = frame - _SCANS_BEHIND / self.step, frame + _SCANS_AHEAD / self.step
        chosen = [number for number in sorted(scans) if first <= number <= last]
        result = voxelize(
            [scans[number] for number in chosen],
            pose,
            chosen.index(frame),
            # Only from the frame itself.
            view_stride=len(chosen),
            **_REACH,
        )
        occupied = (result.label > 0) | result.bin
        for place in _VIEWPOINTS:
            number = min(chosen, key=lambda n: abs((n - frame) * self.step - place))
            sensor = (np.linalg.inv(pose) @ scans[number].pose)[:3, 3]
            grid = SEMANTICKITTI.stored_grid
            result.invalid[visible_voxels(occupied, grid.to_voxels(sensor))] = False
        self.write_truth(frame, result)

    def write_truth(self, frame: int, result: VoxelizedFrame) -> None:
        """Write the voxels of a frame."""
        write_voxel_mask(self.path("voxels", frame, "bin"), result.bin)
        if self.settings.lean:
            self._write_ready(frame, result)
            return
        write_voxel_labels(self.path("voxels", frame, "label"), result.label)
        for name in ("invalid", "occluded"):
            write_voxel_mask(self.path("voxels", frame, name), getattr(result, name))

    def _write_ready(self, frame: int, result: VoxelizedFrame) -> None:
        labels = make_training_label(result.label, result.invalid, SEMANTICKITTI)
        np.savez_compressed(self.path(READY, frame, "npz", "_1_1"), labels=labels)

    def write_text(self, poses: np.ndarray) -> None:
        """Write calibration, poses (T, 4, 4) ``world_from_camera0`` and times."""
        rows = {**self.rig.projections, "Tr": self.rig.camera_from_lidar[:3]}
        lines = (f"{k}: " + " ".join(f"{x:.12e}" for x in row.ravel()) for k, row in rows.items())
        (self.folder / "calib.txt").write_text("\n".join(lines) + "\n")
        first_from_camera = np.linalg.inv(poses[0]) @ poses
        text = first_from_camera[:, :3].reshape(len(poses), 12)
        np.savetxt(self.folder / "poses.txt", text, fmt="%.9e")
        times = np.arange(len(poses)) * FRAME_INTERVAL
        np.savetxt(self.folder / "times.txt", times, fmt="%.6e")

    def path(self, kind: str, frame: int, suffix: str, scale: str = "") -> Path:
        """Build the path of a file of a frame, and make its folder."""
        (self.folder / kind).mkdir(parents=True, exist_ok=True)
        return self.folder / kind / f"{frame:06d}{scale}.{suffix}"
