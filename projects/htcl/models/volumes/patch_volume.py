"""Correlation of image patches on depth planes: a matching volume that needs no learning.

Collins, "A Space-Sweep Approach to True Multi-Image Matching" (CVPR 1996), with the normalised
cross correlation of Hannah, "Computer Matching of Areas in Stereo Images" (Stanford, 1974).

Shape letters as in :mod:`htcl.models.volumes.sweep_volume`.
"""

from __future__ import annotations

import torch
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from htcl.errors import InvalidValueError
from htcl.models.volumes.sweep_volume import SweepVolume
from htcl.ops import Behind, sweep_grid, warp


@MODELS.register_module()
class PatchVolume(SweepVolume):
    """Normalised cross correlation of the patches of the current view and of warped views.

    Matching at the resolution of the image keeps displacements of a fraction of a cell apart, which
    features of a stride cannot before they are trained. The correlation lies in [-1, 1] and is 0
    where a cell's patch is out of view; the channels of the images are averaged.

    Args:
        stride: Pixels of a cell of the volume along each axis.
        margin: A cell's patch reaches so many pixels beyond the cell on every side.
        noise: Standard deviation of the images' noise, in their unit: patches with less contrast
            count little. The default is two of 255 grey levels for images in 0..1.
        depth_chunk: Planes that are warped at once; bounds the memory, and few planes stay in a
            processor's cache. None for all.
    """

    source = "images"

    def __init__(
        self,
        stride: int = 4,
        margin: int = 2,
        noise: float = 2 / 255,
        depth_chunk: int | None = None,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.margin = margin
        self.noise = noise
        self.depth_chunk = depth_chunk

    def _sweep(
        self, current: Tensor, sources: Tensor, projection: Tensor, depths: Tensor, behind: Behind
    ) -> Tensor:
        height, width = current.shape[-2:]
        if height % self.stride or width % self.stride:
            raise InvalidValueError(
                f"images of {(height, width)} pixels are no whole number of cells of "
                f"{self.stride}: choose an input_size that is a multiple of it"
            )
        count = sources.shape[1]
        grey = current.mean(dim=1).repeat_interleave(count, dim=0)[:, None]
        other = sources.mean(dim=2).flatten(0, 1)[:, None]
        mean = self._patch_mean(grey)
        deviation = self._deviation(grey, mean)
        planes = []
        for chunk in depths.split(self.depth_chunk or len(depths)):
            grid = sweep_grid(projection, chunk, (height, width), behind)
            planes.append(self._correlate(grey, mean, deviation, other, grid.flatten(0, 1)))
        return torch.cat(planes, dim=1).unflatten(0, (-1, count))

    def _correlate(
        self, grey: Tensor, mean: Tensor, deviation: Tensor, other: Tensor, grid: Tensor
    ) -> Tensor:
        """Correlation (M,D,h,w) of grey values (M,1,H,W) and their statistics (M,1,h,w)."""
        warped = warp(other, grid)[:, 0]
        visible = (grid.abs() <= 1).all(dim=-1).to(warped.dtype)
        warped_mean = self._patch_mean(warped)
        covariance = self._patch_mean(grey * warped) - mean * warped_mean
        correlation = covariance / (deviation * self._deviation(warped, warped_mean))
        # A patch that is partly out of view correlates with the edge of the image.
        return correlation * (self._patch_mean(visible) > 1 - 1e-4)

    def _deviation(self, maps: Tensor, mean: Tensor) -> Tensor:
        """Standard deviation of each patch (M,C,h,w), at least that of the noise."""
        variance = (self._patch_mean(maps.square()) - mean.square()).clamp_min(0)
        return (variance + self.noise**2).sqrt()

    def _patch_mean(self, maps: Tensor) -> Tensor:
        """Mean over each cell's patch: (M,C,H,W) -> (M,C,h,w)."""
        kernel = self.stride + 2 * self.margin
        return F.avg_pool2d(maps, kernel, self.stride, self.margin, count_include_pad=False)
