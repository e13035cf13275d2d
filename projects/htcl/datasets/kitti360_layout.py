"""Where the files of an SSCBench-KITTI-360 tree lie on disk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from htcl.datasets.layout import frame_files, list_frames
from htcl.errors import InvalidValueError, MissingFileError

KITTI360_VARIABLE = "KITTI360_ROOT"
DRIVES = "data_2d_raw"
# Names of a drive's poses, best first, and of its frame numbers.
CAMERA_POSES, IMU_POSES = "cam0_to_world.txt", ("poses.txt", "pose.txt")
FRAME_NUMBERS = "frame_numbers.txt"

# Folder of each kind of per-frame file inside the folder of a drive, and the suffixes that the
# files may have, the official one first.
_IMAGES = (".png", ".jpg", ".jpeg")
FRAME_FILES = {
    "image_00": ("image_00/data_rect", _IMAGES),
    "image_01": ("image_01/data_rect", _IMAGES),
    "depth_00": ("depth_00", (".npz",)),
    "velodyne": ("velodyne", (".bin",)),
    "voxel_bin": ("voxels", (".bin",)),
    "voxel_labels": ("voxels", (".label",)),
    "voxel_invalid": ("voxels", (".invalid",)),
}
# Where copies have the ready labels.
_LABEL_FOLDERS = ("preprocess/labels", "labels")


class Kitti360Layout:
    """Finds the files of SSCBench-KITTI-360 in one root, as it is unpacked.

    ::

        ROOT/[KITTI-360/]
          calibration/{perspective.txt, calib_cam_to_velo.txt, calib_cam_to_pose.txt}
          data_2d_raw/2013_05_28_drive_00NN_sync/
            image_00/data_rect/NNNNNN.png  image_01/data_rect/NNNNNN.png
            voxels/NNNNNN.{bin,label,invalid}
            cam0_to_world.txt or poses.txt  frame_numbers.txt
            velodyne/NNNNNN.bin  depth_00/NNNNNN.npz
          [preprocess/]labels/2013_05_28_drive_00NN_sync/NNNNNN_1_1.npy

    Scans and ``frame_numbers.txt`` are not the benchmark's, but what
    ``tools/data_converter/complete_kitti360.py`` adds from a copy of KITTI-360; ``depth_00`` is
    external depth (:mod:`htcl.datasets.depth_files`).

    Args:
        data_root: The root. None takes the environment variable ``KITTI360_ROOT``.
        label_root: Folder of the ready labels, if elsewhere.
        depth_root: A root with drives that have the external depth, if elsewhere.

    Raises:
        InvalidValueError: If neither ``data_root`` nor the environment variable is given.
        MissingFileError: If the root does not exist or holds no drives.
    """

    def __init__(
        self,
        data_root: str | Path | None = None,
        label_root: str | Path | None = None,
        depth_root: str | Path | None = None,
    ) -> None:
        source = "data_root"
        if not data_root:
            data_root = os.environ.get(KITTI360_VARIABLE)
            source = f"environment variable {KITTI360_VARIABLE}"
            if not data_root:
                raise InvalidValueError(
                    "SSCBench-KITTI-360 was not said where it lies: set the config key data_root, "
                    f"or the environment variable {KITTI360_VARIABLE}"
                )
        given = Path(data_root)
        candidates = (given, given / "KITTI-360")
        found = [root for root in candidates if (root / DRIVES).is_dir()]
        if not found:
            raise MissingFileError(
                f"{given}: no folder {DRIVES} of KITTI-360's drives (from {source}); searched "
                f"{', '.join(str(root) for root in candidates)}"
            )
        self.data_root = found[0]
        self._depth = Path(depth_root) if depth_root else self.data_root
        self._labels = [Path(label_root)] if label_root else []
        self._labels += [self.data_root / name for name in _LABEL_FOLDERS]

    @property
    def calibration(self) -> Path:
        """The folder of the calibration, which all drives share; it may be missing."""
        return self.data_root / "calibration"

    def sequences(self) -> list[str]:
        """Names all drives, such as ``'00'``, sorted."""
        folders = (self.data_root / DRIVES).glob("2013_05_28_drive_00??_sync")
        return sorted(folder.name[-7:-5] for folder in folders)

    def drive(self, sequence: str) -> Path:
        """Builds the path of the folder of a drive."""
        return self.data_root / DRIVES / drive_name(sequence)

    def folder(self, sequence: str, kind: str) -> Path:
        """Builds the path of the folder of one kind of file (a key of ``FRAME_FILES``)."""
        root = self._depth if kind == "depth_00" else self.data_root
        return root / DRIVES / drive_name(sequence) / FRAME_FILES[kind][0]

    def frames(self, sequence: str, kind: str) -> dict[str, Path]:
        """Lists the files of :meth:`folder` by frame, such as ``"000005"``, in their order.

        Raises:
            MissingFileError: If there is no such folder.
        """
        folder = self.folder(sequence, kind)
        if not folder.is_dir():
            there = ", ".join(self.sequences()) or "none"
            raise MissingFileError(f"drive {sequence}: no folder {folder} (drives here: {there})")
        return list_frames(folder, FRAME_FILES[kind][1])

    def files(self, sequence: str, kind: str, frames: Iterable[str]) -> dict[str, Path]:
        """Builds the path of a file for each frame; it may be missing, as may the folder."""
        return frame_files(self.folder(sequence, kind), FRAME_FILES[kind][1], frames)

    def poses(self, sequence: str) -> Path | None:
        """Finds the poses of a drive: of camera 0 if there are any, else those of the IMU."""
        paths = (self.drive(sequence) / name for name in (CAMERA_POSES, *IMU_POSES))
        return next((path for path in paths if path.is_file()), None)

    def frame_numbers(self, sequence: str) -> Path | None:
        """Finds KITTI-360's numbers of the frames: in the folder of the drive, or in the root."""
        paths = (folder / FRAME_NUMBERS for folder in (self.drive(sequence), self.data_root))
        return next((path for path in paths if path.is_file()), None)

    def ready_labels(self, sequence: str, frames: Iterable[str]) -> dict[str, Path]:
        """Builds the paths of the ready labels of the frames; they may be missing."""
        folders = [root / drive_name(sequence) for root in self._labels]
        folder = next(filter(Path.is_dir, folders), folders[0])
        return {frame: folder / f"{frame}_1_1.npy" for frame in frames}


def drive_name(sequence: str) -> str:
    """KITTI-360's name of a drive, such as ``2013_05_28_drive_0009_sync`` of ``'09'``."""
    return f"2013_05_28_drive_00{sequence}_sync"
