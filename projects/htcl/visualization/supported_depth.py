"""Where the depth of an image cell and the predicted voxels agree that there is a surface.

No lidar ever hits the sky, so no training says anything of its depth, and the most probable of its
planes is any: often the nearest one. The predicted scene has nothing there.

Shape letters: N camera, h w feature map, X Y Z voxel.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from htcl.errors import InvalidValueError
from htcl.visualization.result_file import FrameResult
from htcl.visualization.views import camera_view

# How far a cell's point may lie from the nearest predicted voxel: metres, and share of the depth.
_TOLERANCE, _RELATIVE = 1.0, 0.1


def supported_depth(result: FrameResult) -> np.ndarray:
    """Depth of the best plane, float (N, h, w) in metres, NaN where no surface supports it.

    A cell's point in space is supported if a predicted voxel is near it. Beyond the grid nobody
    knows, so what lies ahead of it or beside it stays.

    Raises:
        InvalidValueError: If the result holds no depth.
    """
    if result.depth_plane is None:
        raise InvalidValueError(f"frame {result.name} holds no depth_plane")
    grid, size = result.grid, result.images.shape[1:3]
    filled = (result.prediction != result.empty_class) & (result.prediction != result.ignore_index)
    # Metres from each voxel to the nearest filled one.
    away = ndimage.distance_transform_edt(~filled, grid.voxel_size) if filled.any() else None
    depths = np.where(result.depth_plane > 0, result.depth_plane, np.nan).astype(np.float64)
    for depth, projection, pose in zip(
        depths, result.projections, result.reference_from_camera, strict=True
    ):
        rays = camera_view(projection, pose, size, depth.shape).rays
        points = rays[..., :3] + depth[..., None] * rays[..., 3:]
        cells = np.nan_to_num((points - grid.origin) / grid.voxel_size, nan=-1.0)
        index = np.floor(cells).astype(np.int64)
        inside = ((index[..., :2] >= 0) & (index[..., :2] < grid.shape[:2])).all(axis=-1)
        # Above the grid is the sky, below it the road.
        index = np.clip(index, 0, np.array(grid.shape) - 1)
        if away is None:
            depth[inside] = np.nan
        else:
            far = away[tuple(np.moveaxis(index, -1, 0))] > _TOLERANCE + _RELATIVE * depth
            depth[inside & far] = np.nan
    return depths
