"""Loads the voxel ground truth.

Shape letters: X front, Y left, Z up (voxels).
"""

from __future__ import annotations

import os

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet3d.registry import TRANSFORMS

from htcl.datasets.training_labels import SCALES, downsample_labels, make_training_label
from htcl.datasets.voxel_files import GRID_SIZE, read_voxel_labels, read_voxel_mask


@TRANSFORMS.register_module()
class LoadVoxelLabels(BaseTransform):
    """Reads training labels made by ``process_kitti.sh``, or makes them on the way.

    Required Keys: training_label_paths; voxel_label_path and voxel_invalid_path (if
    ``raw_fallback``).

    Added Keys:
        voxel_labels: (X, Y, Z) uint8: 0 empty, 1-19 classes, 255 not scored; the grid divided by 1,
            2 or 8.

    Args:
        scale: '1_1', '1_2' or '1_8'.
        grid_size: Voxels (X, Y, Z) at scale 1_1.
        raw_fallback: Where the preprocessed ``.npy`` is absent, make the same label from
            ``voxels/*.label`` and ``*.invalid``.

    Raises:
        FileNotFoundError: If the files are absent.
        ValueError: If a file has the wrong size, type or an unknown label id.
    """

    def __init__(
        self,
        scale: str = "1_1",
        grid_size: tuple[int, int, int] = GRID_SIZE,
        raw_fallback: bool = True,
    ) -> None:
        if scale not in SCALES:
            raise ValueError(f"unknown scale {scale!r}, expected one of {sorted(SCALES)}")
        self.scale = scale
        self.grid_size = tuple(grid_size)
        self.raw_fallback = raw_fallback

    def required_files(self, results: dict) -> list[tuple[str | None, ...]]:
        """Names the files that a sample needs, each as a tuple of alternatives."""
        ready = results["training_label_paths"][self.scale]
        if not self.raw_fallback:
            return [(ready,)]
        return [(ready, results["voxel_label_path"]), (ready, results["voxel_invalid_path"])]

    def transform(self, results: dict) -> dict:
        """Adds the labels."""
        path = results["training_label_paths"][self.scale]
        if os.path.exists(path):
            results["voxel_labels"] = self._read_ready(path)
            return results
        raw_path, invalid_path = results["voxel_label_path"], results["voxel_invalid_path"]
        if not self.raw_fallback or raw_path is None or invalid_path is None:
            raise FileNotFoundError(
                f"{path}: training label not found; make it with `bash process_kitti.sh`"
            )
        labels = make_training_label(
            read_voxel_labels(raw_path, self.grid_size),
            read_voxel_mask(invalid_path, self.grid_size),
            source=raw_path,
        )
        results["voxel_labels"] = downsample_labels(labels, SCALES[self.scale])
        return results

    def _read_ready(self, path: str) -> np.ndarray:
        try:
            labels = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise ValueError(f"{path}: not a readable .npy file ({error}); make it anew") from error
        shape = tuple(size // SCALES[self.scale] for size in self.grid_size)
        if labels.shape != shape or labels.dtype != np.uint8:
            raise ValueError(
                f"{path}: training label is {labels.dtype} {labels.shape}, expected uint8 {shape}"
            )
        return labels

    def __repr__(self) -> str:
        """Names the step and its settings."""
        return f"{type(self).__name__}(scale={self.scale!r}, raw_fallback={self.raw_fallback})"
