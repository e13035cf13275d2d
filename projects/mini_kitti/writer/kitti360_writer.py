"""Writes the files of one drive in the layout of SSCBench-KITTI-360."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from htcl.datasets.kitti360_calibration import write_numbered_poses
from htcl.datasets.kitti360_layout import CAMERA_POSES, FRAME_FILES
from htcl.datasets.label_tables import NUM_RAW_IDS
from htcl.datasets.voxel_files import write_voxel_labels, write_voxel_mask
from htcl.datasets.voxelizer import LidarScan, VoxelizedFrame
from htcl.errors import InvalidValueError
from htcl.files import atomic_write
from mini_kitti.sensors.rig import Rig, camera_height_of, make_kitti360_rig
from mini_kitti.writer.sequence_writer import SequenceWriter
from mini_kitti.writer.settings import MiniKittiSettings

__all__ = ["Kitti360Writer", "write_calibration"]

# KITTI-360 tells apart neither what moves, nor trunk and plant, nor lane markings.
_RAW_IDS = {252: 10, 253: 31, 254: 30, 255: 32, 60: 40, 71: 70}


class Kitti360Writer(SequenceWriter):
    """Writes a drive: the left camera is camera 0, scans are those of the frames with voxels.

    Points have no labels in the benchmark. Files of masks have a byte a voxel.
    """

    cameras: ClassVar[dict[str, str]] = {
        projection: FRAME_FILES[kind][0]
        for projection, kind in (("P0", "image_00"), ("P1", "image_01"))
    }

    def make_rig(self, rng: np.random.Generator) -> Rig:
        """Take the sensors that all drives share, at the height of this one's car."""
        return make_kitti360_rig(self.settings.image_size, camera_height_of(self.number))

    def write_scan(self, frame: int, scan: LidarScan) -> None:
        """Write the scan of a frame with voxels."""
        if frame % self.settings.label_every == 0:
            scan.points.astype("<f4").tofile(self.path("velodyne", frame, "bin"))

    def write_truth(self, frame: int, result: VoxelizedFrame) -> None:
        """Write the voxels of a frame."""
        table = np.arange(NUM_RAW_IDS, dtype=np.uint16)
        table[list(_RAW_IDS)] = list(_RAW_IDS.values())
        write_voxel_labels(self.path("voxels", frame, "label"), table[result.label])
        for name in ("bin", "invalid"):
            mask = getattr(result, name)
            write_voxel_mask(self.path("voxels", frame, name), mask, packed=False)

    def write_text(self, poses: np.ndarray) -> None:
        """Write the poses (T, 4, 4), by the benchmark's own numbers of the frames."""
        write_numbered_poses(self.folder / CAMERA_POSES, poses)


def write_calibration(root: Path, settings: MiniKittiSettings) -> None:
    """Write the calibration that all drives share.

    Raises:
        InvalidValueError: If there is another one already.
    """
    rig = make_kitti360_rig(settings.image_size, camera_height=0.0)
    lines = [f"R_rect_0{camera}: {_text(np.eye(3))}" for camera in range(2)]
    lines += [f"P_rect_0{camera}: {_text(rig.projections[f'P{camera}'])}" for camera in range(2)]
    lidar_from_camera = np.linalg.inv(rig.camera_from_lidar)[:3]
    files = {"perspective.txt": "\n".join(lines), "calib_cam_to_velo.txt": _text(lidar_from_camera)}
    for name, text in files.items():
        path = root / "calibration" / name
        if path.is_file() and path.read_text() != text + "\n":
            raise InvalidValueError(
                f"{path} is of other images than those of {settings.image_size[0]} x "
                f"{settings.image_size[1]} pixels: choose another output folder; nothing was "
                "changed"
            )
        with atomic_write(path, "w") as file:
            file.write(text + "\n")


def _text(matrix: np.ndarray) -> str:
    return " ".join(f"{value:.12e}" for value in matrix.ravel())
