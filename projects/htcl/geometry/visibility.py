"""Which voxels cameras have in view, and which of these a depth map leaves visible.

Shape letters: N camera, H W network image, h w depth map, X Y Z voxel, V voxel in view of a camera.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from htcl.errors import InvalidValueError
from htcl.geometry.camera import Camera
from htcl.geometry.pixels import PixelRule, cell_pixels
from htcl.geometry.voxel_grid import VoxelGrid


def field_of_view(
    grid: VoxelGrid,
    projections: np.ndarray,
    voxel_from_camera: np.ndarray,
    image_size: tuple[int, int],
) -> np.ndarray:
    """Marks the voxels whose centre projects into an image of any camera, bool (X, Y, Z).

    An image reaches half a pixel beyond the centres of its outer pixels.

    Args:
        grid: The voxels.
        projections: Each camera's projection of the camera frame to pixels (N, 4, 4).
        voxel_from_camera: Each camera's motion from the camera frame to the voxel frame (N, 4, 4).
        image_size: Height and width of the images.
    """
    seen = torch.zeros(grid.shape, dtype=torch.bool)
    for projection, motion in zip(projections, voxel_from_camera, strict=True):
        matrix = torch.from_numpy(projection[:3] @ np.linalg.inv(motion))
        seen |= _inside(*_project_centres(grid, matrix), image_size)
    return seen.numpy()


class VoxelSight:
    """What cameras see of a grid's voxels; made once for cameras that stay as they are.

    A voxel is *in view* if its centre projects into the network image of any camera, at a depth
    above 0. The network image is what the network sees: the original one without what the resize
    cropped. A voxel in view is *visible* if for any of these cameras::

        depth of its centre <= depth of the map's cell that it projects to + tolerance

    Depths are metres along the optical axis; the cell is the one whose middle is nearest by the
    cameras' pixel rule. All other voxels in view are *occluded*.

    Args:
        grid: The voxels, in the augmented reference frame.
        camera: Cameras (N,).
        device: Where to calculate.

    Attributes:
        grid: The voxels.
        in_view: Whether a voxel is in view, bool (X, Y, Z).
    """

    def __init__(self, grid: VoxelGrid, camera: Camera, device: torch.device | str = "cpu") -> None:
        self.grid = grid
        self._size, self._pixels = camera.size, camera.pixels
        self._seen: list[_Seen] = []
        # By the size of the map.
        self._cells: dict[tuple[int, int], list[Tensor]] = {}
        in_view = torch.zeros(grid.num_voxels, dtype=torch.bool, device=device)
        projections = camera.image_transform.double() @ camera.intrinsics.double()[:, :3]
        matrices = projections @ torch.linalg.inv(camera.augmented_from_camera)
        for matrix in matrices.to(device):
            projected = _project_centres(grid, matrix)
            voxels = _inside(*projected, self._size).flatten().nonzero().squeeze(1)
            column, row, depth = (values.flatten()[voxels] for values in projected)
            in_view[voxels] = True
            self._seen.append(_Seen(voxels, column / depth, row / depth, depth))
        self.in_view = in_view.view(grid.shape)

    def visible(self, depth_map: Tensor, tolerance: float | None = None) -> Tensor:
        """Which voxels are visible, bool (X, Y, Z).

        Args:
            depth_map: Depth of each cell of a map over each network image, (N, h, w), metres; a
                cell of depth 0 hides all that lies behind it.
            tolerance: How far a visible centre may lie behind the depth, metres; None for half the
                diagonal of a voxel, which is how far a voxel reaches from its centre.

        Raises:
            InvalidValueError: If there is not one map for each camera.
        """
        if depth_map.ndim != 3 or len(depth_map) != len(self._seen):
            raise InvalidValueError(
                f"depth map of shape {tuple(depth_map.shape)}, expected ({len(self._seen)}, h, w): "
                "one map for each camera"
            )
        if tolerance is None:
            tolerance = math.hypot(*self.grid.voxel_size) / 2
        visible = torch.zeros_like(self.in_view).flatten()
        cells = self._cells_of(depth_map.shape[1], depth_map.shape[2])
        for seen, cell, depths in zip(self._seen, cells, depth_map, strict=True):
            limits = depths.to(seen.depth).flatten() + tolerance
            visible[seen.voxels[seen.depth <= limits[cell]]] = True
        return visible.view(self.grid.shape)

    def _cells_of(self, height: int, width: int) -> list[Tensor]:
        """For each camera the numbers (V,) of the cells, row by row, that its voxels project to."""
        if (height, width) not in self._cells:
            self._cells[height, width] = [
                _nearest(seen.row, self._size[0], height, self._pixels) * width
                + _nearest(seen.column, self._size[1], width, self._pixels)
                for seen in self._seen
            ]
        return self._cells[height, width]


class _Seen(NamedTuple):
    """The voxels in view of one camera.

    Attributes:
        voxels: Their numbers in C order, (V,) int64.
        column: Network pixel of the centre, (V,) float64.
        row: Network pixel of the centre, (V,) float64.
        depth: Depth of the centre, metres, (V,) float64.
    """

    voxels: Tensor
    column: Tensor
    row: Tensor
    depth: Tensor


def _project_centres(grid: VoxelGrid, matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Column times depth, row times depth, and depth of all centres, (X, Y, Z) float64.

    ``matrix`` (3, 4) float64 takes a point of the grid's frame to these three.
    """
    # The projection is linear before the division, so it is a sum of one term an axis.
    x, y, z = (
        matrix[:, axis, None] * torch.from_numpy(grid.centres(axis)).to(matrix.device)
        for axis in range(3)
    )
    column, row, depth = (
        x[k, :, None, None] + (y[k, :, None] + (z[k] + matrix[k, 3])) for k in range(3)
    )
    return column, row, depth


def _inside(column: Tensor, row: Tensor, depth: Tensor, size: tuple[int, int]) -> Tensor:
    """Which points lie in an image (H, W); see :func:`_project_centres`."""
    height, width = size
    # Compared without dividing: -0.5 <= column < width - 0.5, times the depth.
    inside = (depth > 0) & (column >= -0.5 * depth) & (column < (width - 0.5) * depth)
    return inside & (row >= -0.5 * depth) & (row < (height - 0.5) * depth)


def _nearest(positions: Tensor, length: int, count: int, rule: PixelRule) -> Tensor:
    """The nearest of ``count`` cells along an axis of ``length`` pixels, int64."""
    middles = cell_pixels(length, count, rule, positions.device)
    return torch.bucketize(positions, (middles[1:] + middles[:-1]) / 2, right=True)
