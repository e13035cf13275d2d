"""A view transformer of one's own: every voxel looks up what the cameras see in its place.

The other direction of lift-splat: no cell is sent into space, each voxel's centre is projected into
the images and read there, as in Harley et al., "Simple-BEV", ICRA 2023.

Shape letters: B batch, N camera, M = B * N, C channel, D depth bin, h w feature map, X Y Z voxel,
V = X * Y * Z.
"""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from htcl.datasets.specification import DatasetSpecification
from htcl.geometry import Camera, DepthBins


@MODELS.register_module()
class VoxelSampling(BaseModule):
    """Reads the frusta of all cameras at the centres of voxels of ``voxel_size`` metres."""

    def __init__(
        self, specification: DatasetSpecification, depth_bins: DepthBins, voxel_size: float
    ) -> None:
        super().__init__()
        self.grid = specification.grid.resized(voxel_size)
        self.depth_bins = depth_bins

    @torch.no_grad()
    def index(self, cameras: Camera, map_size: tuple[int, int]) -> Tensor:
        """Place of every voxel in the frusta of cameras (B, N), (B, N, V, 3) in [-1, 1]."""
        axes = [torch.from_numpy(self.grid.centres(axis)) for axis in range(3)]
        centres = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)
        # Voxels are fixed to the augmented scene, cameras to the original one.
        back = torch.linalg.inv(cameras.augmentation.double())
        pixels, depth = cameras.project(
            centres.to(back) @ back[..., :3, :3].mT + back[..., None, :3, 3]
        )
        bins = (depth - self.depth_bins.start) / self.depth_bins.step
        place = torch.cat((pixels, bins[..., None]), dim=-1) + 0.5
        return 2 * place / place.new_tensor((*cameras.size[::-1], self.depth_bins.num)) - 1

    def splat(self, depth_prob: Tensor, context: Tensor, index: Tensor) -> Tensor:
        """Lifts (M, C, h, w) by (M, D, h, w) and reads it in the voxels, (B, C, X, Y, Z)."""
        return self.pool(depth_prob[:, None] * context[:, :, None], index)

    def pool(self, volume: Tensor, index: Tensor) -> Tensor:
        """Reads frusta (M, C, D, h, w) in the voxels and sums over the cameras."""
        places = index.flatten(0, 1)[:, None, None].to(volume)
        read = F.grid_sample(volume, places, align_corners=False)
        return read.reshape(*index.shape[:2], -1, *self.grid.shape).sum(dim=1)

    def best_depth(self, depth_prob: Tensor) -> Tensor:
        """Depth of the most probable bin of (M, D, h, w), (M, h, w) in metres."""
        return self.depth_bins.values(depth_prob.device)[depth_prob.argmax(dim=1)]
