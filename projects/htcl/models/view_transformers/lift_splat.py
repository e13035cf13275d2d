"""Lift-splat: image features and depth distributions -> voxel features.

Source: "Lift, Splat, Shoot: Encoding Images from Arbitrary Camera Rigs by Implicitly Unprojecting
to 3D" (J. Philion, S. Fidler, ECCV 2020), sections 3.1 and 3.2, here on a 3D grid.

Shape letters: B batch, N camera, M = B * N image, C channel, D depth bin, h w feature map, X Y Z
voxel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from htcl.datasets.specification import DatasetSpecification, build_specification
from htcl.errors import InvalidValueError, check_choice
from htcl.geometry import Camera, DepthBins, IndexRounding, PixelRule, aligns_corners
from htcl.geometry.voxel_grid import INDEX_ROUNDINGS
from htcl.ops import SplatIndex, build_splat_index, lift_splat, pool_cells


@dataclass(frozen=True)
class FrustumIndex(SplatIndex):
    """The cells of maps, and those of denser maps by which features are lifted.

    Attributes:
        dense: Index of the denser maps, None if there are none.
        rule: Rule of pixel coordinates, by which maps are made denser.
    """

    dense: SplatIndex | None = None
    rule: PixelRule = "centres"


@MODELS.register_module()
class LiftSplat(BaseModule):
    """Moves features from the frusta of all cameras to one voxel grid. It has no parameters.

    Args:
        specification: Its grid gives the box that the voxels fill.
        depth_bins: ``start``, ``stop``, ``step`` of the depth axis, metres.
        voxel_size: Edge length of a feature voxel, metres; one number or one an axis.
        index_rounding: ``floor`` or ``released``, see :meth:`.VoxelGrid.flat_index`.
        density: Lifts maps that are so many times as wide and high, by linear interpolation. The
            voxels get density^2 as many summands of the present, which so outweighs points of the
            history (C3DFusion, Bae et al., AAAI 2026). 1, as released, leaves the maps.
        init_cfg: Unused; kept for the module interface.

    Raises:
        InvalidValueError: If the box is not a whole number of voxels, the rounding unknown, or the
            density below 1.
    """

    def __init__(
        self,
        specification: DatasetSpecification | str | Mapping[str, Any],
        depth_bins: DepthBins | Mapping[str, float],
        voxel_size: float | Sequence[float],
        index_rounding: IndexRounding = "floor",
        density: int = 1,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_choice("index_rounding", index_rounding, INDEX_ROUNDINGS)
        self.grid = build_specification(specification).grid.resized(voxel_size)
        self.depth_bins = DepthBins.build(depth_bins)
        self.index_rounding = index_rounding
        if density < 1:
            raise InvalidValueError(f"LiftSplat(density={density}): give a whole number from 1 on")
        self.density = density
        self._last: tuple[Any, FrustumIndex] | None = None

    @torch.no_grad()
    def index(self, cameras: Camera, map_size: tuple[int, int]) -> FrustumIndex:
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

    def _index(self, cameras: Camera, map_size: tuple[int, int]) -> FrustumIndex:
        index, dense = self._cells(cameras, map_size), None
        if self.density > 1:
            height, width = map_size
            dense = self._cells(cameras, (self.density * height, self.density * width))
        return FrustumIndex(**vars(index), dense=dense, rule=cameras.pixels)

    def _cells(self, cameras: Camera, map_size: tuple[int, int]) -> SplatIndex:
        depths = self.depth_bins.values(cameras.intrinsics.device, torch.float64)
        points = cameras.unproject(map_size, depths)
        return build_splat_index(self.grid.flat_index(points, self.index_rounding), self.grid.shape)

    def splat(self, depth_prob: Tensor, context: Tensor, index: FrustumIndex) -> Tensor:
        """Lifts features (M, C, h, w) by probabilities (M, D, h, w), sums to (B, C, X, Y, Z)."""
        if index.dense is None:
            return lift_splat(depth_prob, context, index)
        size = [self.density * count for count in context.shape[-2:]]
        corners = aligns_corners(index.rule)
        depth_prob, context = (
            F.interpolate(maps, size, mode="bilinear", align_corners=corners)
            for maps in (depth_prob, context)
        )
        return lift_splat(depth_prob, context, index.dense)

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
