"""Plane sweep of image patches: a matching volume that needs no learning.

Collins, "A Space-Sweep Approach to True Multi-Image Matching" (CVPR 1996), with the normalised
cross correlation of Hannah, "Computer Matching of Areas in Stereo Images" (Stanford, 1974).

Shape letters: B batch, S source image, D depth plane, H W image, h w cells of the volume.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from htcl.models.temporal.plane_sweep import sweep_grid, warp


class PatchSweep(nn.Module):
    """Normalised cross correlation of the current view with source images warped on depth planes.

    Matching at the resolution of the image keeps displacements of a fraction of a cell apart, which
    features of a stride cannot before they are trained.

    Args:
        depths: Depths of the planes along the camera's optical axis, metres.
        stride: Pixels of a cell of the volume along each axis.
        margin: A cell's patch reaches so many pixels beyond the cell on every side.
        discard_behind: See :func:`~htcl.models.temporal.plane_sweep.sweep_grid`.
        depth_chunk: Planes that are warped at once; bounds the memory, and few planes stay in a
            processor's cache. None for all.
        noise: Standard deviation of the images' noise, in their unit: patches with less contrast
            count little. The default is two of 255 grey levels for images in 0..1.
    """

    def __init__(
        self,
        depths: Tensor,
        stride: int = 4,
        margin: int = 2,
        discard_behind: bool = False,
        depth_chunk: int | None = None,
        noise: float = 2 / 255,
    ) -> None:
        super().__init__()
        self.register_buffer("depths", depths.float(), persistent=False)
        self.stride = stride
        self.margin = margin
        self.discard_behind = discard_behind
        self.depth_chunk = depth_chunk
        self.noise = noise

    def forward(self, current: Tensor, sources: Tensor, projection: Tensor) -> Tensor:
        """Sweeps all planes.

        Args:
            current: Image (B,C,H,W), whose channels are averaged.
            sources: Images (B,S,C,H,W).
            projection: Matrices (B,S,4,4) of
                :func:`~htcl.models.temporal.sweep_geometry.sweep_projection` for maps of the
                images' size.

        Returns:
            Correlation in [-1, 1] (B,S,D,H/stride,W/stride), float32; 0 where a cell's patch is
            out of view.

        Raises:
            ValueError: If the image is no whole number of cells.
        """
        size, count = current.shape[-2:], sources.shape[1]
        if any(side % self.stride for side in size):
            raise ValueError(
                f"images of {tuple(size)} pixels are no whole number of cells of {self.stride}: "
                "choose an input_size that is a multiple of it"
            )
        with torch.autocast(current.device.type, enabled=False):
            projection = projection.float()
            grey = current.float().mean(dim=1).repeat_interleave(count, dim=0)[:, None]
            other = sources.float().mean(dim=2).flatten(0, 1)[:, None]
            mean = self._patch_mean(grey)
            deviation = self._deviation(grey, mean)
            volumes = []
            for depths in self.depths.split(self.depth_chunk or len(self.depths)):
                grid = sweep_grid(projection, depths, size, self.discard_behind).flatten(0, 1)
                volumes.append(self._correlate(grey, mean, deviation, other, grid))
            return torch.cat(volumes, dim=1).unflatten(0, (-1, count))

    def _correlate(
        self, grey: Tensor, mean: Tensor, deviation: Tensor, other: Tensor, grid: Tensor
    ) -> Tensor:
        """Correlation (N,D,h,w) of grey values (N,1,H,W) and their statistics (N,1,h,w)."""
        warped = warp(other, grid)[:, 0]
        visible = (grid.abs() <= 1).all(dim=-1).to(warped.dtype)
        warped_mean = self._patch_mean(warped)
        covariance = self._patch_mean(grey * warped) - mean * warped_mean
        correlation = covariance / (deviation * self._deviation(warped, warped_mean))
        # A patch that is partly out of view correlates with the edge of the image.
        return correlation * (self._patch_mean(visible) > 1 - 1e-4)

    def _deviation(self, maps: Tensor, mean: Tensor) -> Tensor:
        """Standard deviation of each patch (N,C,h,w), at least that of the noise."""
        variance = (self._patch_mean(maps.square()) - mean.square()).clamp_min(0)
        return (variance + self.noise**2).sqrt()

    def _patch_mean(self, maps: Tensor) -> Tensor:
        """Mean over each cell's patch: (N,C,H,W) -> (N,C,h,w)."""
        return F.avg_pool2d(
            maps,
            self.stride + 2 * self.margin,
            self.stride,
            self.margin,
            count_include_pad=False,
        )
