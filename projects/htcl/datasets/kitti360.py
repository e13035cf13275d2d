"""SSCBench-KITTI-360 semantic scene completion: the files of the benchmark as samples."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from htcl.datasets.kitti360_calibration import Kitti360Calibration, read_numbered_poses
from htcl.datasets.kitti360_frames import FRAME_INTERVAL, read_frame_numbers
from htcl.datasets.kitti360_layout import CAMERA_POSES, FRAME_FILES, Kitti360Layout
from htcl.datasets.kitti360_specification import KITTI360
from htcl.datasets.occupancy_dataset import OccupancyDataset
from htcl.datasets.sample_info import HISTORY_INPUTS, SampleInfo
from htcl.errors import InvalidValueError, MissingFileError, check_choice, listed

# So many training frames may lack their right image before it is an error: some are missing in
# KITTI-360 itself.
_RIGHT_MISSING = 0.01


@DATASETS.register_module()
class KITTI360SSC(OccupancyDataset):
    """Frames of SSCBench-KITTI-360 with their history, found on disk without any index file.

    The one camera is the left perspective camera with its right partner; the reference frame is the
    lidar's, the camera frame that of the rectified camera 0. Frame numbers are the benchmark's own.
    The benchmark left frames out, up to half a minute at a time, so history ends where time or pose
    jumps; that takes poses or the frame numbers of KITTI-360 (:mod:`.kitti360_frames`).

    Files of poses may be KITTI-360's, whose rows have its numbers, or have a row for each of the
    benchmark's frames 0, 1, 2, ...; KITTI-360's never begin like that.

    Args:
        data_root, label_root, depth_root: See :class:`.Kitti360Layout`.
        frames: Which frames are samples: 'voxels' (those with a ``voxels/*.bin``, every fifth
            image) or 'images' (all; without ground truth for most).
        camera_frame: 'field' takes ``calib_cam_to_velo.txt`` for the rectified camera, as all
            published methods do; 'rectified' adds the rotation of the rectification.
        focal_baseline: Focal length times baseline, pixel metres; None: the calibration's. Depth
            maps that published methods use were made with 331.5326, 1 % too much.
        num_history: Number of earlier frames, T - 1.
        history_stride: Distance of the history frames in images (10 Hz), or a list of distances.
        history_gap_seconds, history_gap_metres: Between neighbouring images, where history ends.
        **kwargs: Arguments of :class:`OccupancyDataset`.

    Attributes:
        left_out: Training frames without a right image, which are no samples.

    Raises:
        MissingFileError: If files or folders are missing; names them.
        InvalidValueError: If an argument is out of range, or calibration, poses or frame numbers
            are unsound.
    """

    FOLDER_KEYS: ClassVar[dict[str, str]] = {"depth_00": "depth_root"}

    def __init__(
        self,
        data_root: str | None = None,
        label_root: str | None = None,
        depth_root: str | None = None,
        frames: str = "voxels",
        camera_frame: str = "field",
        focal_baseline: float | None = None,
        specification: Any = KITTI360,
        num_history: int = 3,
        history_stride: int | Sequence[int] = 5,
        history_gap_seconds: float | None = 2.0,
        history_gap_metres: float | None = 5.0,
        **kwargs: Any,
    ) -> None:
        check_choice("frames", frames, ("voxels", "images"))
        check_choice("camera_frame", camera_frame, ("field", "rectified"))
        if focal_baseline is not None and not focal_baseline > 0:
            raise InvalidValueError(
                f"focal_baseline={focal_baseline!r}: expected pixels times metres above 0, or None "
                "for the calibration's"
            )
        self.layout = Kitti360Layout(data_root, label_root, depth_root)
        self.frames = frames
        self.left_out: list[str] = []
        self.calibration = Kitti360Calibration.from_folder(self.layout.calibration)
        self._lidar_from_camera = self.calibration.lidar_from_rectified(camera_frame == "rectified")
        self._focal_baseline = focal_baseline or self.calibration.focal_baseline
        if self.calibration.missing:
            self._warn(
                f"{', '.join(map(str, self.calibration.missing))} not found: the calibration of "
                "the data set's cars, written down in the program, stands for it"
            )
        super().__init__(
            specification,
            num_history=num_history,
            history_stride=history_stride,
            history_gap_seconds=history_gap_seconds,
            history_gap_metres=history_gap_metres,
            data_root=str(self.layout.data_root),
            depth_root=depth_root,
            **kwargs,
        )

    def load_data_list(self) -> list[SampleInfo]:
        """Lists the samples of all drives, in order of drive and frame."""
        self.left_out = []
        samples = super().load_data_list()
        if self.frames == "voxels":
            self.say_release(len(samples) + len(self.left_out))
        return samples

    def list_sequence(self, sequence: str) -> list[SampleInfo]:
        """Lists the images of a drive up to the last sample, and the files that belong to them."""
        layout = self.layout
        images = layout.frames(sequence, "image_00")
        kind = "voxel_bin" if self.frames == "voxels" else "image_00"
        samples = layout.frames(sequence, kind)
        if not samples or not images:
            raise MissingFileError(
                f"drive {sequence}: {len(samples)} frames in {layout.folder(sequence, kind)} and "
                f"{len(images)} images in {layout.folder(sequence, 'image_00')}, expected at least "
                "one each (images are .png or .jpg)"
            )
        sample_numbers = set(map(int, samples))
        last, width = max(sample_numbers), len(next(iter(images)))
        # A drive has no gaps in the benchmark's numbers: one without a file is a missing file.
        numbers = sorted(sample_numbers.union(range(int(min(images)), last + 1)))
        names = [f"{number:0{width}d}" for number in numbers]
        paths = {kind: layout.files(sequence, kind, names) for kind in FRAME_FILES}
        ready, depth = layout.ready_labels(sequence, names), self.depth_files(paths["depth_00"])
        lidar = layout.folder(sequence, "velodyne").is_dir()
        lidar |= bool({"points", "depth_maps"} & set(self.inputs or ()))
        theirs = self._frame_numbers(sequence, last)
        poses, poses_path = self._poses(sequence, last, theirs)
        unpaired = self._without_right(sequence, samples)
        return [
            {
                "sequence": sequence,
                "frame": name,
                "frame_index": number,
                "is_sample": number in sample_numbers and name not in unpaired,
                "time": None if theirs is None else float(theirs[number]) * FRAME_INTERVAL,
                "cameras": [
                    {
                        "name": "image_00",
                        "image": str(paths["image_00"][name]),
                        "right": str(paths["image_01"][name]),
                        "depth": depth.get(name),
                        "intrinsics": self.calibration.left,
                        "reference_from_camera": self._lidar_from_camera,
                        "focal_baseline": self._focal_baseline,
                        "world_from_camera": None if poses is None else poses[number],
                    }
                ],
                "lidar": str(paths["velodyne"][name]) if lidar else None,
                "lidar_labels": None,
                "labels": {
                    "raw": str(paths["voxel_labels"][name]),
                    "invalid": str(paths["voxel_invalid"][name]),
                    "ready": {"1_1": str(ready[name])},
                },
                "calib_path": str(layout.calibration),
                "poses_path": poses_path,
            }
            for name, number in zip(names, numbers, strict=True)
        ]

    def _without_right(self, sequence: str, samples: Mapping[str, Path]) -> Collection[str]:
        """Training frames that are left out for want of a right image, if there are only few.

        Of many, and in an evaluation, which is of all frames, the check names the missing files.
        """
        if self.test_mode or not self.wants("right"):
            return ()
        rights = self.layout.files(sequence, "image_01", samples)
        present = {path.name for path in self.layout.folder(sequence, "image_01").glob("*")}
        absent = [frame for frame, path in rights.items() if path.name not in present]
        if not absent or len(absent) > _RIGHT_MISSING * len(samples):
            return ()
        self.left_out += [f"{sequence}/{frame}" for frame in absent]
        self._warn(
            f"drive {sequence}: {len(absent)} of {len(samples)} training frames have no right "
            f"image and are left out:{listed([rights[frame] for frame in absent])}"
        )
        return set(absent)

    def _frame_numbers(self, sequence: str, last: int) -> np.ndarray | None:
        """KITTI-360's number of each frame of a drive up to ``last``, if known."""
        path = self.layout.frame_numbers(sequence)
        if path is None:
            return None
        numbers = read_frame_numbers(path).get(sequence, np.empty(0))
        if last >= len(numbers):
            raise InvalidValueError(
                f"{path}: {len(numbers)} frames of drive {sequence}, but its frame {last} needs "
                "one more line for each: the file is of another drive or cut short"
            )
        return numbers

    def _poses(
        self, sequence: str, last: int, theirs: np.ndarray | None
    ) -> tuple[np.ndarray | None, str | None]:
        """Poses (T, 4, 4) up to frame ``last`` and their file, if history is wanted and they are.

        Raises:
            MissingFileError: If they are needed and not there.
            InvalidValueError: If their rows cannot be told to be of the frames, or one is missing.
        """
        needed = self.spacing.needs_poses or self.wants("current_from_history")
        looks_back = self.inputs is None or bool(self.inputs & HISTORY_INPUTS)
        if self.spacing.num_history == 0 or not looks_back:
            return None, None
        path = self.layout.poses(sequence)
        if path is None:
            if needed:
                raise MissingFileError(
                    f"drive {sequence}: no {CAMERA_POSES} or poses.txt in "
                    f"{self.layout.drive(sequence)}; make it from a copy of KITTI-360 with "
                    "tools/data_converter/complete_kitti360.py"
                )
            if theirs is None:
                self._warn(
                    f"drive {sequence} has neither poses nor frame numbers, so its history "
                    "reaches across the frames that the benchmark left out"
                )
            return None, None
        numbers, poses = read_numbered_poses(path)
        if path.name != CAMERA_POSES:
            poses = self.calibration.camera_poses(poses, path)
        if np.array_equal(numbers, np.arange(len(numbers))):
            wanted = np.arange(last + 1)
        elif theirs is not None:
            wanted = theirs[: last + 1]
        else:
            raise InvalidValueError(
                f"{path}: rows have KITTI-360's frame numbers ({numbers[0]} to {numbers[-1]}), "
                "which are not the benchmark's: put its frame_numbers.txt into "
                f"{self.layout.drive(sequence)} (tools/data_converter/complete_kitti360.py)"
            )
        rows = np.searchsorted(numbers, wanted).clip(max=len(numbers) - 1)
        absent = np.flatnonzero(numbers[rows] != wanted)
        if len(absent):
            raise InvalidValueError(
                f"{path}: {len(absent)} of the {last + 1} frames of drive {sequence} have no pose, "
                f"the first is frame {absent[0]}, whose row has the number {wanted[absent[0]]}"
            )
        return poses[rows], str(path)

    def _warn(self, message: str) -> None:
        print_log(message, logger="current", level=logging.WARNING)
