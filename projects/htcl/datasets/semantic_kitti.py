"""SemanticKITTI semantic scene completion: the files of the benchmark as samples."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from mmengine.registry import DATASETS

from htcl.datasets.calibration import KittiCalibration, check_count, read_poses
from htcl.datasets.file_checks import FileCheck, mask_check
from htcl.datasets.layout import FRAME_FILES, KittiLayout
from htcl.datasets.occupancy_dataset import OccupancyDataset
from htcl.datasets.sample_info import SampleInfo
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.training_labels import SCALES
from htcl.errors import InvalidValueError, MissingFileError, check_choice


@DATASETS.register_module()
class SemanticKITTISSC(OccupancyDataset):
    """Frames of SemanticKITTI with their history, found on disk without any index file.

    The one camera is the left colour camera with its right partner; the reference frame is the
    lidar's, the camera frame that of the rectified grey camera 0. ``labels`` holds the paths
    ``raw`` and ``invalid`` and ``ready``, the training labels by scale. Besides, an info has
    ``calib_path`` and ``poses_path``, for messages.

    Args:
        data_root, velodyne_root, lidarseg_root, label_root, depth_root: See :class:`KittiLayout`.
        frames: Which frames are samples: 'voxels' (those with a ``voxels/*.bin``, every fifth scan)
            or 'images' (all of ``image_2``; without ground truth for most).
        num_history: Number of earlier frames, T - 1.
        history_stride: Distance of the history frames in images (10 Hz), or a list of distances. 5
            is the released spacing (every voxel frame); 1 takes consecutive images.
        **kwargs: Arguments of :class:`OccupancyDataset`.

    Raises:
        MissingFileError: If files or folders are missing; names them.
        InvalidValueError: If an argument is out of range, or calibration or poses are unsound.
    """

    FOLDER_KEYS: ClassVar[dict[str, str]] = {
        "velodyne": "velodyne_root",
        "labels": "lidarseg_root",
        "depth_2": "depth_root",
    }

    def __init__(
        self,
        data_root: str | None = None,
        velodyne_root: str | None = None,
        lidarseg_root: str | None = None,
        label_root: str | None = None,
        depth_root: str | None = None,
        frames: str = "voxels",
        specification: Any = SEMANTICKITTI,
        num_history: int = 3,
        history_stride: int | Sequence[int] = 5,
        **kwargs: Any,
    ) -> None:
        check_choice("frames", frames, ("voxels", "images"))
        self.layout = KittiLayout(data_root, velodyne_root, lidarseg_root, label_root, depth_root)
        self.frames = frames
        super().__init__(
            specification,
            num_history=num_history,
            history_stride=history_stride,
            data_root=str(self.layout.data_root),
            depth_root=depth_root,
            **kwargs,
        )

    def load_data_list(self) -> list[SampleInfo]:
        """Lists the samples of all drives, in order of drive and frame."""
        samples = super().load_data_list()
        if self.frames == "voxels":
            self.say_release(len(samples))
        return samples

    def list_sequence(self, sequence: str) -> list[SampleInfo]:
        """Lists the images of a drive up to the last sample, and the files that belong to them."""
        layout = self.layout
        kind = "voxel_bin" if self.frames == "voxels" else "image_2"
        found = self.attempt(self._images_and_samples, sequence, kind)
        calibration = self.attempt(self._calibration, sequence)
        if found is None:
            return []
        matrices = _matrices(calibration)
        images, samples = found
        sample_numbers = set(map(int, samples))
        last = max(sample_numbers)
        poses, poses_path = self.attempt(self._poses, sequence, last) or (None, None)
        width = len(next(iter(images)))
        # A drive has no gaps: a number without a file is a missing file. A sample before the first
        # image (a cut sequence) is listed too, so that the check names its image.
        numbers = sample_numbers.union(range(int(min(images)), last + 1))
        frames = [f"{number:0{width}d}" for number in sorted(numbers)]
        paths = {kind: layout.files(sequence, kind, frames) for kind in FRAME_FILES}
        depth = self.depth_files(paths["depth_2"])
        return [
            {
                "sequence": sequence,
                "frame": frame,
                "frame_index": int(frame),
                "is_sample": int(frame) in sample_numbers,
                "cameras": [
                    {
                        "name": "image_2",
                        "image": str(paths["image_2"][frame]),
                        "right": str(paths["image_3"][frame]),
                        "depth": depth.get(frame),
                        "world_from_camera": None if poses is None else poses[int(frame)],
                        "intrinsics": matrices[0],
                        "reference_from_camera": matrices[1],
                        "focal_baseline": matrices[2],
                    }
                ],
                "lidar": str(paths["velodyne"][frame]),
                "lidar_labels": str(paths["point_labels"][frame]),
                "labels": {
                    "raw": str(paths["voxel_labels"][frame]),
                    "invalid": str(paths["voxel_invalid"][frame]),
                    "ready": {s: str(layout.training_label(sequence, frame, s)) for s in SCALES},
                },
                "calib_path": str(layout.calibration_path(sequence)),
                "poses_path": poses_path,
            }
            for frame in frames
        ]

    def further_checks(self, frame: SampleInfo) -> list[FileCheck]:
        """The masks ``.bin`` and ``.occluded``, which the voxel download has and nobody reads."""
        sequence, name = frame["sequence"], frame["frame"]
        return [
            mask_check(frame, path, self.specification, filled=kind == "voxel_bin")
            for kind in ("voxel_bin", "voxel_occluded")
            for path in map(str, self.layout.files(sequence, kind, [name]).values())
            if os.path.lexists(path)
        ]

    def _images_and_samples(self, sequence: str, kind: str) -> tuple[dict[str, Path], ...]:
        layout = self.layout
        images, samples = layout.frames(sequence, "image_2"), layout.frames(sequence, kind)
        if not samples or not images:
            raise MissingFileError(
                f"sequence {sequence}: {len(samples)} frames in {layout.folder(sequence, kind)} "
                f"and {len(images)} images in {layout.folder(sequence, 'image_2')}, expected at "
                "least one each (images are .png or .jpg)"
            )
        return images, samples

    def _calibration(self, sequence: str) -> KittiCalibration:
        return KittiCalibration.from_file(self.layout.calibration(sequence))

    def _poses(self, sequence: str, last: int) -> tuple[Any, str | None]:
        """The poses up to frame ``last`` and their file, if they are wanted or there."""
        wanted = self.spacing.needs_poses or self.wants("current_from_history")
        if wanted is False or self.spacing.num_history == 0:
            return None, None
        try:
            path = self.layout.poses(sequence)
        except MissingFileError:
            if wanted or self.examining:
                raise
            return None, None
        poses = read_poses(path)
        times = self.layout.times(sequence)
        if times is not None:
            check_count(poses, path, times)
        last = max(last, *map(int, self.layout.frames(sequence, "image_2")))
        if last >= len(poses):
            raise InvalidValueError(
                f"{path}: {len(poses)} poses, but frame {last} needs line {last + 1}; expected one "
                "line a frame: copy the file anew"
            )
        return poses, str(path)


def _matrices(calibration: KittiCalibration | None) -> tuple[Any, Any, Any]:
    """What a camera has of its calibration; nothing if that is damaged and others are looked at."""
    if calibration is None:
        return None, None, None
    return calibration.p2, calibration.lidar_from_camera, calibration.focal_baseline
