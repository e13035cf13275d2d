"""Lift-splat: image features and depth distributions -> voxel features.

Source: "Lift, Splat, Shoot: Encoding Images from Arbitrary Camera Rigs by Implicitly Unprojecting
to 3D" (J. Philion, S. Fidler, ECCV 2020), sections 3.1 and 3.2, on a 3D grid instead of a
bird's-eye view.

Shape letters: B batch, C channel, D depth bin, H W image, h w feature map, X Y Z voxel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmdet3d.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor

from htcl.models.view_transformers.frustum import (
    FeaturePixels,
    feature_pixels,
    frustum_cells,
    unproject,
)
from htcl.models.view_transformers.voxel_grid import IndexRounding, VoxelGrid
from htcl.ops import SplatIndex, build_splat_index, lift_splat, pool_cells
from htcl.ops.depth_bins import DepthBins

CALIBRATION = ("intrinsics_left", "pixel_transform", "lidar_from_camera", "augmented_from_lidar")


@MODELS.register_module()
class LiftSplat(BaseModule):
    """Moves features from the camera frustum to the voxel grid. It has no parameters.

    One forward pass computes the geometry once, ``index = lift_splat.index(batch)``, and uses it
    for every volume of the frustum.

    Args:
        point_cloud_range: (x_min, y_min, z_min, x_max, y_max, z_max) of the grid, metres, lidar
            frame.
        voxel_size: Edge length of a feature voxel, metres; one number or one an axis.
        input_size: (H, W) of the network image; multiples of ``downsample``.
        downsample: Image pixels a feature cell, along each axis.
        depth_bins: ``start``, ``stop``, ``step`` of the depth axis, metres.
        index_rounding: ``floor`` or ``trunc`` (released), see :meth:`VoxelGrid.flat_index`.
        frustum_pixels: ``centres`` or ``corners`` (released), see :func:`feature_pixels`.
        init_cfg: Unused; kept for the module interface.

    Raises:
        ValueError: If the image is not a whole number of feature cells, or a key has an unknown
            value.
    """

    def __init__(
        self,
        point_cloud_range: Sequence[float],
        voxel_size: float | Sequence[float],
        input_size: tuple[int, int],
        depth_bins: DepthBins | Mapping[str, float],
        downsample: int = 8,
        index_rounding: IndexRounding = "floor",
        frustum_pixels: FeaturePixels = "centres",
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if any(side % downsample for side in input_size):
            raise ValueError(
                f"input_size {tuple(input_size)} is not a multiple of downsample={downsample}"
            )
        if index_rounding not in ("trunc", "floor"):
            raise ValueError(f"index_rounding must be 'trunc' or 'floor', got {index_rounding!r}")
        if frustum_pixels not in ("corners", "centres"):
            raise ValueError(
                f"frustum_pixels must be 'corners' or 'centres', got {frustum_pixels!r}"
            )
        self.grid = VoxelGrid.from_range(point_cloud_range, voxel_size)
        self.depth_bins = DepthBins.build(depth_bins)
        self.input_size = tuple(input_size)
        self.feature_size = tuple(side // downsample for side in input_size)
        self.index_rounding = index_rounding
        self.frustum_pixels = frustum_pixels

    def frustum(self, device: torch.device | str | None = None) -> Tensor:
        """Returns (column, row, depth) of every frustum cell, (D, h, w, 3), pixels and metres."""
        rows, columns = (
            feature_pixels(length, count, self.frustum_pixels, device)
            for length, count in zip(self.input_size, self.feature_size, strict=True)
        )
        depths = self.depth_bins.values(device, torch.float64)
        return frustum_cells(columns, rows, depths)

    @torch.no_grad()
    def points(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns the position of every frustum cell.

        Args:
            batch: The model's inputs; read are ``intrinsics_left``, ``pixel_transform``,
                ``lidar_from_camera`` and ``augmented_from_lidar``.

        Returns:
            (B, D, h, w, 3) float64, metres, augmented lidar frame.
        """
        calibration = [batch[key] for key in CALIBRATION]
        return unproject(self.frustum(calibration[0].device), *calibration)

    @torch.no_grad()
    def index(self, batch: Mapping[str, Tensor]) -> SplatIndex:
        """Returns which frustum cell falls into which voxel; arguments as :meth:`points`."""
        voxels = self.grid.flat_index(self.points(batch), self.index_rounding)
        return build_splat_index(voxels, self.grid.shape)

    def splat(self, depth_prob: Tensor, context: Tensor, index: SplatIndex) -> Tensor:
        """Lifts features (B, C, h, w) by probabilities (B, D, h, w), sums to (B, C, X, Y, Z)."""
        return lift_splat(depth_prob, context, index)

    def pool(self, volume: Tensor, index: SplatIndex) -> Tensor:
        """Sums (B, C, D, h, w) frustum features in (B, C, X, Y, Z)."""
        return pool_cells(volume, index)

    def best_depth(self, depth_prob: Tensor) -> Tensor:
        """Depth of the most probable bin of (B, D, h, w), (B, h, w) in metres."""
        return self.depth_bins.values(depth_prob.device)[depth_prob.argmax(dim=1)]

    def forward(self, depth_prob: Tensor, context: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Index and splat in one call, for a model that pools once."""
        return self.splat(depth_prob, context, self.index(batch))
