"""SemanticKITTI semantic scene completion: the files of the benchmark as samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from mmengine.registry import DATASETS

from htcl.datasets.calibration import KittiCalibration, read_poses
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

    def list_sequence(self, sequence: str) -> list[SampleInfo]:
        """Lists the images of a drive up to the last sample, and the files that belong to them."""
        layout = self.layout
        images = layout.frames(sequence, "image_2")
        kind = "voxel_bin" if self.frames == "voxels" else "image_2"
        samples = layout.frames(sequence, kind)
        if not samples or not images:
            raise MissingFileError(
                f"sequence {sequence}: {len(samples)} frames in {layout.folder(sequence, kind)} "
                f"and {len(images)} images in {layout.folder(sequence, 'image_2')}, expected at "
                "least one each (images are .png or .jpg)"
            )
        calib_path = layout.calibration(sequence)
        calibration = KittiCalibration.from_file(calib_path)
        lidar_from_camera = calibration.lidar_from_camera
        sample_numbers = set(map(int, samples))
        last = max(sample_numbers)
        poses, poses_path = self._poses(sequence, last)
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
                        "intrinsics": calibration.p2,
                        "reference_from_camera": lidar_from_camera,
                        "focal_baseline": calibration.focal_baseline,
                        "world_from_camera": None if poses is None else poses[int(frame)],
                    }
                ],
                "lidar": str(paths["velodyne"][frame]),
                "lidar_labels": str(paths["point_labels"][frame]),
                "labels": {
                    "raw": str(paths["voxel_labels"][frame]),
                    "invalid": str(paths["voxel_invalid"][frame]),
                    "ready": {s: str(layout.training_label(sequence, frame, s)) for s in SCALES},
                },
                "calib_path": str(calib_path),
                "poses_path": poses_path,
            }
            for frame in frames
        ]

    def _poses(self, sequence: str, last: int) -> tuple[Any, str | None]:
        """The poses up to frame ``last`` and their file, if they are wanted or there."""
        wanted = self.spacing.needs_poses or self.wants("current_from_history")
        if wanted is False or self.spacing.num_history == 0:
            return None, None
        try:
            path = self.layout.poses(sequence)
        except MissingFileError:
            if wanted:
                raise
            return None, None
        poses = read_poses(path)
        if last >= len(poses):
            raise InvalidValueError(
                f"{path}: {len(poses)} poses, but frame {last} needs line {last + 1}"
            )
        return poses, str(path)
