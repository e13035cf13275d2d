"""Plane sweep: history features at every depth hypothesis of the current view.

Collins, "A Space-Sweep Approach to True Multi-Image Matching" (CVPR 1996); Watson et al., "The
Temporal Opportunist: Self-Supervised Multi-Frame Monocular Depth" (CVPR 2021), section 3.2.

Shape letters: B batch, T frame, C channel, G channel group, D depth plane, h w feature map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from htcl.models.layers.recompute import recompute

REDUCTIONS = ("mean", "correlation")


def sweep_grid(
    projection: Tensor, depths: Tensor, map_size: tuple[int, int], discard_behind: bool
) -> Tensor:
    """Where each cell of the current map, at each depth, lies in each history map.

    Args:
        projection: Matrices (B,T-1,4,4) from
            :func:`~htcl.models.temporal.sweep_geometry.sweep_projection`.
        depths: Depth of the planes in metres (D,).
        map_size: Size (h, w) of current and history maps.
        discard_behind: Sends points behind a history camera out of view. False, as released,
            projects them through the camera's centre.

    Returns:
        Coordinates (x, y) for ``grid_sample(align_corners=True)``, i.e. -1 and 1 are the centres of
        the first and the last cell: (B,T-1,D,h,w,2), float32.
    """
    height, width = map_size
    rows = torch.arange(height, dtype=projection.dtype, device=projection.device)
    columns = torch.arange(width, dtype=projection.dtype, device=projection.device)
    rows, columns = torch.meshgrid(rows, columns, indexing="ij")
    cells = torch.stack([columns, rows, torch.ones_like(rows)]).flatten(1)
    # A point moves along a straight line with its depth: one ray for all planes.
    rays = (projection[..., :3, :3] @ cells)[:, :, None]
    points = rays * depths.view(-1, 1, 1) + projection[..., None, :3, 3:]
    depth = points[..., 2, :]
    xy = points[..., :2, :] / (depth + 1e-7)[..., None, :]
    last = xy.new_tensor([max(width - 1, 1), max(height - 1, 1)])
    grid = 2 * (xy / last[:, None] - 0.5)
    if discard_behind:
        grid = grid.masked_fill((depth <= 0)[..., None, :], 3.0)
    # 3 is out of view on every map of two cells or more; far larger numbers overflow integers.
    grid = grid.clamp(-3.0, 3.0).transpose(-1, -2)
    return grid.unflatten(-2, (height, width))


def warp(maps: Tensor, grid: Tensor) -> Tensor:
    """Bilinear samples of maps, zero out of view.

    Args:
        maps: Maps (N,C,h,w).
        grid: Coordinates (N,D,h,w,2) from :func:`sweep_grid`.

    Returns:
        Samples (N,C,D,h,w).
    """
    size = grid.shape[1:4]
    sampled = F.grid_sample(
        maps, grid.flatten(1, 2), mode="bilinear", padding_mode="zeros", align_corners=True
    )
    return sampled.unflatten(2, size[:2])


def plane_sweep_reference(history: Tensor, grid: Tensor) -> Tensor:
    """Channel mean of the warped history features, computed in this order.

    :class:`PlaneSweep` takes the mean first, which is the same because sampling is linear, and
    costs C times less. Tests compare the two.

    Args:
        history: Features (B,T-1,C,h,w).
        grid: Coordinates (B,T-1,D,h,w,2).

    Returns:
        Means (B,T-1,D,h,w).
    """
    warped = warp(history.flatten(0, 1), grid.flatten(0, 1))
    return warped.mean(dim=1).unflatten(0, history.shape[:2])


class PlaneSweep(nn.Module):
    """Warps history features onto depth planes of the current view and reduces their channels.

    Args:
        depths: Depths of the planes along the camera's optical axis, in metres.
        reduction: ``'mean'``, as released: the mean over the channels of the warped features, which
            does not look at the current frame. ``'correlation'``: the cosine between current and
            warped features in each channel group, after taking every channel's mean over the map
            away (features that follow a ReLU are all alike without that); 0 out of view.
        num_groups: Channel groups of the correlation (Guo et al., CVPR 2019); 1 with ``'mean'``.
        discard_behind: See :func:`sweep_grid`.
        depth_chunk: Planes that the correlation warps at once; bounds its memory. None for all.
        with_cp: Recomputes the correlation's chunks in the backward pass.

    Raises:
        ValueError: For an unknown reduction, or groups together with ``'mean'``.
    """

    def __init__(
        self,
        depths: Tensor,
        reduction: str = "mean",
        num_groups: int = 1,
        discard_behind: bool = False,
        depth_chunk: int | None = None,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction={reduction!r} is unknown: choose one of {REDUCTIONS}")
        if reduction == "mean" and num_groups != 1:
            raise ValueError(
                f"num_groups={num_groups} with reduction='mean': groups belong to 'correlation'"
            )
        self.register_buffer("depths", depths.float(), persistent=False)
        self.reduction = reduction
        self.num_groups = num_groups
        self.discard_behind = discard_behind
        self.depth_chunk = depth_chunk
        self.with_cp = with_cp

    def forward(self, current: Tensor, history: Tensor, projection: Tensor) -> Tensor:
        """Sweeps all planes.

        Args:
            current: Current features (B,C,h,w).
            history: History features (B,T-1,C,h,w).
            projection: Matrices (B,T-1,4,4) from
                :func:`~htcl.models.temporal.sweep_geometry.sweep_projection`.

        Returns:
            Volume (B,(T-1)*G,D,h,w), frame-major, float32.
        """
        with torch.autocast(current.device.type, enabled=False):
            current, history = current.float(), history.float()
            grid = sweep_grid(
                projection.float(), self.depths, current.shape[-2:], self.discard_behind
            )
            if self.reduction == "mean":
                mean = history.mean(dim=2, keepdim=True).flatten(0, 1)
                return warp(mean, grid.flatten(0, 1)).unflatten(0, grid.shape[:2]).squeeze(2)
            return self._correlate(current, history, grid)

    def _correlate(self, current: Tensor, history: Tensor, grid: Tensor) -> Tensor:
        batch, frames, channels = history.shape[:3]
        if channels % self.num_groups:
            raise ValueError(
                f"{channels} matching channels do not divide into num_groups={self.num_groups}"
            )
        current = _centred_direction(current, self.num_groups)
        current = current.repeat_interleave(frames, dim=0)
        history = _centred(history.flatten(0, 1))
        grid = grid.flatten(0, 1)
        chunk = self.depth_chunk or grid.shape[1]
        volumes = [
            recompute(self, self._correlate_planes, current, history, planes, enabled=self.with_cp)
            for planes in grid.split(chunk, dim=1)
        ]
        volume = torch.cat(volumes, dim=2)
        return volume.view(batch, frames * self.num_groups, *volume.shape[2:])

    def _correlate_planes(self, current: Tensor, history: Tensor, grid: Tensor) -> Tensor:
        """Cosine of current directions (N,G,C/G,h,w) and warped features: (N,G,D,h,w)."""
        warped = warp(history, grid).unflatten(1, (self.num_groups, -1))
        # Four times faster on a CPU than the same einsum, which transposes the volume first.
        product = (current[:, :, :, None] * warped).sum(dim=2)
        return product / warped.norm(dim=2).clamp(min=1e-6)


def _centred(features: Tensor) -> Tensor:
    return features - features.mean(dim=(-2, -1), keepdim=True)


def _centred_direction(features: Tensor, num_groups: int) -> Tensor:
    grouped = _centred(features).unflatten(1, (num_groups, -1))
    return F.normalize(grouped, dim=2, eps=1e-6)
