"""Turns a loaded sample into what the model takes.

Shape letters: T frame, H W network image, N points, X Y Z voxel.
"""

from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet3d.registry import TRANSFORMS
from mmdet3d.structures import Det3DDataSample
from mmengine.structures import BaseDataElement

from htcl.datasets.voxel_grid import VoxelGridSpec

_IMAGES = ("left", "right", "frames")
_TENSORS = (
    "intrinsics_left",
    "intrinsics_right",
    "pixel_transform",
    "frames_pixel_transform",
    "lidar_from_camera",
    "augmented_from_lidar",
    "current_from_frame",
    "focal_baseline",
    "depth_map",
    "points",
    "point_labels",
    "point_uvd",
)
_META = ("sequence", "frame", "left_path", "right_path", "frame_paths", "image_size")
_META_MATRICES = ("intrinsics_left", "lidar_from_camera")


@TRANSFORMS.register_module()
class PackSSCInputs(BaseTransform):
    """Packs a sample into tensors and a ``Det3DDataSample``: the sample contract.

    ``inputs`` holds those of the following that the earlier steps made, float32 unless stated:

    * ``left``, ``right``: (3, H, W) uint8, current network images, RGB.
    * ``frames``: (T, 3, H, W) uint8, left frames for the temporal module, oldest first.
    * ``intrinsics_left``, ``intrinsics_right``: (4, 4), P2 and P3 in original pixels, fourth column
      kept, fourth row (0, 0, 0, 1).
    * ``pixel_transform``: (3, 3), network pixel = pixel_transform @ original pixel.
    * ``frames_pixel_transform``: (3, 3), the same for ``frames``.
    * ``lidar_from_camera``: (4, 4), camera-0 point -> lidar frame.
    * ``augmented_from_lidar``: (4, 4), lidar frame -> voxel frame.
    * ``current_from_frame``: (T, 4, 4), camera-0 point at frame t -> camera 0 at the current frame.
    * ``focal_baseline``: (), original pixels times metres.
    * ``depth_map``: (H, W), sparse depth of the left network image, metres, 0 = none.
    * ``points``: (N, 3), voxel frame, metres; ``point_labels``: (N,) int64, 1-19, 0 = not scored.
    * ``point_uvd``: (N, 3), position (u, v) in [-1, 1] of the left network image, depth in metres
      (0 = behind the camera).

    ``data_samples.gt_voxels.semantics`` is the (X, Y, Z) uint8 ground truth if the sample has
    labels. The meta information holds sequence, frame, left_path, right_path, frame_paths,
    image_size (original (H, W)), voxel_origin, voxel_size, grid_size, and the (4, 4) numpy matrices
    intrinsics_left and lidar_from_camera.

    Required Keys: left, and what else of the above is there.

    Args:
        grid: Arguments of :class:`htcl.datasets.voxel_grid.VoxelGridSpec`, for the meta
            information; None is SemanticKITTI's grid.
    """

    def __init__(self, grid: dict | None = None) -> None:
        self.grid = VoxelGridSpec(**(grid or {}))

    def transform(self, results: dict) -> dict:
        """Packs one sample."""
        inputs = {}
        for key in _IMAGES:
            if key in results:
                image = torch.from_numpy(np.ascontiguousarray(results[key]))
                inputs[key] = image.movedim(-1, -3).contiguous()
        for key in _TENSORS:
            if key in results:
                inputs[key] = torch.as_tensor(results[key])
        sample = Det3DDataSample()
        if "voxel_labels" in results:
            labels = torch.from_numpy(np.ascontiguousarray(results["voxel_labels"]))
            sample.gt_voxels = BaseDataElement(semantics=labels)
        meta = {key: results[key] for key in _META + _META_MATRICES if key in results}
        size = self.grid.size
        voxel_size = self.grid.voxel_size
        if "voxel_labels" in results:
            # Coarser labels cover the same space with larger voxels.
            voxel_size *= size[0] / results["voxel_labels"].shape[0]
            size = tuple(results["voxel_labels"].shape)
        meta.update(voxel_origin=self.grid.origin, voxel_size=voxel_size, grid_size=size)
        sample.set_metainfo(meta)
        return {"inputs": inputs, "data_samples": sample}

    def __repr__(self) -> str:
        """Names the step."""
        return f"{type(self).__name__}(grid={self.grid})"
