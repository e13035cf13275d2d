"""Lift-splat: image features and depth distributions -> voxel features.

Source: "Lift, Splat, Shoot: Encoding Images from Arbitrary Camera Rigs by Implicitly Unprojecting
to 3D" (J. Philion, S. Fidler, ECCV 2020), sections 3.1 and 3.2, here on a 3D grid.

Shape letters: B batch, N camera, M = B * N image, C channel, D depth bin, h w feature map, X Y Z
voxel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from htcl.datasets.specification import DatasetSpecification, build_specification
from htcl.errors import check_choice
from htcl.geometry import Camera, DepthBins, IndexRounding
from htcl.geometry.voxel_grid import INDEX_ROUNDINGS
from htcl.ops import SplatIndex, build_splat_index, lift_splat, pool_cells


@MODELS.register_module()
class LiftSplat(BaseModule):
    """Moves features from the frusta of all cameras to one voxel grid. It has no parameters.

    Args:
        specification: Its grid gives the box that the voxels fill.
        depth_bins: ``start``, ``stop``, ``step`` of the depth axis, metres.
        voxel_size: Edge length of a feature voxel, metres; one number or one an axis.
        index_rounding: ``floor`` or ``released``, see :meth:`.VoxelGrid.flat_index`.
        init_cfg: Unused; kept for the module interface.

    Raises:
        InvalidValueError: If the box is not a whole number of voxels, or the rounding unknown.
    """

    def __init__(
        self,
        specification: DatasetSpecification | str | Mapping[str, Any],
        depth_bins: DepthBins | Mapping[str, float],
        voxel_size: float | Sequence[float],
        index_rounding: IndexRounding = "floor",
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_choice("index_rounding", index_rounding, INDEX_ROUNDINGS)
        self.grid = build_specification(specification).grid.resized(voxel_size)
        self.depth_bins = DepthBins.build(depth_bins)
        self.index_rounding = index_rounding
        self._last: tuple[Any, SplatIndex] | None = None

    @torch.no_grad()
    def index(self, cameras: Camera, map_size: tuple[int, int]) -> SplatIndex:
        """The voxel of every cell of the frusta of cameras (B, N) with maps (h, w).

        Predictions keep the last one, which serves as long as the cameras' fingerprint is the same.
        """
        if self.training or cameras.fingerprint is None:
            return self._index(cameras, map_size)
        # What inference mode made cannot be used outside of it.
        inference = torch.is_inference_mode_enabled()
        key = (cameras.fingerprint, map_size, cameras.intrinsics.device, inference)
        if self._last is None or self._last[0] != key:
            self._last = key, self._index(cameras, map_size)
        return self._last[1]

    def _index(self, cameras: Camera, map_size: tuple[int, int]) -> SplatIndex:
        depths = self.depth_bins.values(cameras.intrinsics.device, torch.float64)
        points = cameras.unproject(map_size, depths)
        return build_splat_index(self.grid.flat_index(points, self.index_rounding), self.grid.shape)

    def splat(self, depth_prob: Tensor, context: Tensor, index: SplatIndex) -> Tensor:
        """Lifts features (M, C, h, w) by probabilities (M, D, h, w), sums to (B, C, X, Y, Z)."""
        return lift_splat(depth_prob, context, index)

    def pool(self, volume: Tensor, index: SplatIndex) -> Tensor:
        """Sums (M, C, D, h, w) frustum features in (B, C, X, Y, Z)."""
        return pool_cells(volume, index)

    def lift_points(
        self, depth: Tensor, weight: Tensor, context: Tensor, cameras: Camera
    ) -> Tensor:
        """Sums features (M, C, h, w) times weights (M, h, w), each cell at one depth.

        The depths (M, h, w) are in metres, in front of cameras (B, N). Gives (B, C, X, Y, Z).
        """
        with torch.no_grad():
            points = cameras.unproject_map(depth.unflatten(0, cameras.shape))
            # A frustum with a single cell at each pixel.
            voxels = self.grid.flat_index(points, self.index_rounding)[:, :, None]
            index = build_splat_index(voxels, self.grid.shape)
        return lift_splat(weight[:, None], context, index)

    def best_depth(self, depth_prob: Tensor) -> Tensor:
        """Depth of the most probable bin of (M, D, h, w), (M, h, w) in metres."""
        return self.depth_bins.values(depth_prob.device)[depth_prob.max(dim=1).indices]
