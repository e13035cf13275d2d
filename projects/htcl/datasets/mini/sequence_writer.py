"""Makes one sequence in the SemanticKITTI layout: street, images, scans and ground truth."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from htcl.datasets.mini.camera import Camera
from htcl.datasets.mini.lidar import scan_street
from htcl.datasets.mini.light import Light
from htcl.datasets.mini.rendering import render_image
from htcl.datasets.mini.rig import Rig, camera_height_of, make_rig
from htcl.datasets.mini.scene import build_scene
from htcl.datasets.mini.settings import MiniKittiSettings, is_test
from htcl.datasets.mini.street_scene import StreetScene
from htcl.datasets.mini.trajectory import FRAME_INTERVAL, drive_poses, relative_poses
from htcl.datasets.voxel_files import write_voxel_labels, write_voxel_mask
from htcl.datasets.voxelizer import LidarScan, voxelize

__all__ = ["MARKER", "SequenceWriter", "num_steps", "write_sequence"]

MARKER = "SYNTHETIC.json"
# The ground truth of a frame gathers the scans of this stretch of the drive (metres behind and
# ahead).
_SCANS_BEHIND, _SCANS_AHEAD = 10.0, 54.0
_EXTRA_SCAN_STRIDE = 2
_VIEW_SPACING = 6.0  # metres between viewpoints for the invalid mask
_STREAMS = {"image_2": 10, "image_3": 11, "lidar": 12}
_FARTHEST_STEP = 1.5


def num_steps(settings: MiniKittiSettings, sequence: str) -> int:
    """Return how often write_sequence reports progress."""
    frames = settings.num_frames(sequence)
    return frames + len(range(0, frames, settings.voxel_stride))


def write_sequence(
    root: Path,
    sequence: str,
    settings: MiniKittiSettings,
    progress: Callable[[int], None] = lambda steps: None,
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
        progress: Callable[[int], None],
    ) -> None:
        self.folder, self.sequence, self.settings, self.progress = (
            folder,
            sequence,
            settings,
            progress,
        )
        self.number = int(sequence)
        rng = self._rng(0)
        self.step = float(rng.uniform(1.0, _FARTHEST_STEP))
        self.rig: Rig = make_rig(rng, settings.image_size, camera_height_of(self.number))
        self.frames = settings.num_frames(sequence)
        # Streets have the same length whatever the drawn speed, so that --frames alone decides it.
        length = _FARTHEST_STEP * self.frames
        self.scene: StreetScene = build_scene(settings.seed, self.number, length)
        self.light = Light.of_scene(
            self.scene, int(rng.integers(1 << 31)), (-20.0, self.frames * self.step + 80.0)
        )
        self.pose_seed = int(rng.integers(1 << 31))

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self.settings.seed, self.number, *stream])

    def poses(self, frames: np.ndarray) -> np.ndarray:
        """Return world_from_camera0 of frame numbers."""
        return drive_poses(
            self.scene.road,
            self.scene.lane,
            self.step,
            self.rig.camera_height,
            frames,
            self.pose_seed,
        )

    def write(self) -> None:
        """Write all files."""
        poses = self.poses(np.arange(self.frames))
        self._write_text(poses)
        scans: dict[int, LidarScan] = {}
        for frame in range(self.frames):
            for name, camera in (("image_2", "P2"), ("image_3", "P3")):
                view = Camera(self.rig, camera, poses[frame])
                image = render_image(self.scene, self.light, view, self._rng(_STREAMS[name], frame))
                self._write_png(name, frame, image)
            scans[frame] = self._scan(frame, poses[frame])
            points, labels, _ = scans[frame]
            self._write_array("velodyne", frame, "bin", points.astype("<f4"))
            if not is_test(self.sequence):
                self._write_array("labels", frame, "label", labels.astype("<u4"))
            self.progress(1)
        if not is_test(self.sequence):
            self._add_extra_scans(scans)
        for frame in range(0, self.frames, self.settings.voxel_stride):
            self._write_voxels(frame, scans)
            self.progress(1)

    def _add_extra_scans(self, scans: dict[int, LidarScan]) -> None:
        """Scan before the start and beyond the end of the drive, only for dense ground truth."""
        ahead = self.frames + int(np.ceil(_SCANS_AHEAD / self.step))
        behind = -int(_SCANS_BEHIND / self.step)
        extra = [
            *range(behind, 0, _EXTRA_SCAN_STRIDE),
            *range(self.frames, ahead, _EXTRA_SCAN_STRIDE),
        ]
        for frame, pose in zip(extra, self.poses(np.array(extra)), strict=True):
            scans[frame] = self._scan(frame, pose)

    def _scan(self, frame: int, world_from_camera: np.ndarray) -> LidarScan:
        world_from_lidar = world_from_camera @ self.rig.camera_from_lidar
        # Frame numbers before the start are negative, seeds are not.
        rng = self._rng(_STREAMS["lidar"], frame + 10_000)
        points, labels = scan_street(
            self.scene, world_from_lidar, rng, self.settings.lidar_azimuths
        )
        return LidarScan(points, labels, world_from_lidar)

    def _write_voxels(self, frame: int, scans: dict[int, LidarScan]) -> None:
        folder = self.folder / "voxels"
        if is_test(self.sequence):
            current = scans[frame]
            result = voxelize([current], current.pose, 0)
            write_voxel_mask(folder / f"{frame:06d}.bin", result.bin)
            return
        first, last = frame - _SCANS_BEHIND / self.step, frame + _SCANS_AHEAD / self.step
        chosen = [number for number in sorted(scans) if first <= number <= last]
        result = voxelize(
            [scans[number] for number in chosen],
            scans[frame].pose,
            chosen.index(frame),
            view_stride=max(1, round(_VIEW_SPACING / self.step)),
        )
        write_voxel_labels(folder / f"{frame:06d}.label", result.label)
        for name in ("bin", "invalid", "occluded"):
            write_voxel_mask(folder / f"{frame:06d}.{name}", getattr(result, name))

    def _write_text(self, poses: np.ndarray) -> None:
        rows = {**self.rig.projections, "Tr": self.rig.camera_from_lidar[:3]}
        lines = [
            f"{key}: " + " ".join(f"{x:.12e}" for x in row.ravel()) for key, row in rows.items()
        ]
        (self.folder / "calib.txt").write_text("\n".join(lines) + "\n")
        relative = relative_poses(poses, poses[0])[:, :3].reshape(len(poses), 12)
        text = "\n".join(" ".join(f"{x:.9e}" for x in row) for row in relative)
        (self.folder / "poses.txt").write_text(text + "\n")
        times = "\n".join(f"{frame * FRAME_INTERVAL:.6e}" for frame in range(len(poses)))
        (self.folder / "times.txt").write_text(times + "\n")

    def _path(self, kind: str, frame: int, suffix: str) -> Path:
        (self.folder / kind).mkdir(exist_ok=True)
        return self.folder / kind / f"{frame:06d}.{suffix}"

    def _write_array(self, kind: str, frame: int, suffix: str, array: np.ndarray) -> None:
        array.tofile(self._path(kind, frame, suffix))

    def _write_png(self, kind: str, frame: int, image: np.ndarray) -> None:
        path = self._path(kind, frame, "png")
        if not cv2.imwrite(str(path), np.ascontiguousarray(image[..., ::-1])):
            raise OSError(f"{path}: could not write the image (disk full or no right to write?)")
