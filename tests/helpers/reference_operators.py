"""Plain, slow definitions of the operators that the network runs in a cheaper form."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from htcl.models.necks import TemporalVoxelAttention
from htcl.ops import SplatIndex, VolumeSampling, warp


def disparity_volume(left: Tensor, right: Tensor, num_disparities: int) -> Tensor:
    """Left features and right features shifted by each whole disparity: (B, 2 C, N, h, w).

    Columns that the shifted right view does not reach are zero in both halves.
    """
    batch, channels, height, width = left.shape
    volume = left.new_zeros(batch, 2 * channels, num_disparities, height, width)
    for shift in range(min(num_disparities, width)):
        volume[:, :channels, shift, :, shift:] = left[..., shift:]
        volume[:, channels:, shift, :, shift:] = right[..., : width - shift]
    return volume


def sample_planes(volume: Tensor, disparity: Tensor, sampling: VolumeSampling = "exact") -> Tensor:
    """Samples (B, 2 C, N, h, w) at disparities (B, P), by one ``grid_sample`` a sample.

    The picture that is sampled has the channels as columns and the disparities as rows. Its
    coordinates are normalised for ``align_corners=True``; sampling them with False, as the released
    code did under the torch that it pins, reads slightly off the places that were meant, along the
    channels too.
    """
    channels, count = volume.shape[1:3]
    rows = []
    for sample, shifts in zip(volume, disparity.to(volume.dtype), strict=True):
        column = torch.linspace(-1, 1, channels, dtype=volume.dtype, device=volume.device)
        row = shifts * (2 / (count - 1)) - 1
        grid = torch.stack((column.expand(len(row), -1), row[:, None].expand(-1, channels)), dim=-1)
        picture = sample.permute(2, 3, 1, 0).flatten(0, 1)[None]  # (1, h w, N, 2 C)
        planes = F.grid_sample(picture, grid[None], align_corners=sampling == "exact")[0]
        rows.append(planes.unflatten(0, sample.shape[2:]).permute(3, 2, 0, 1))
    return torch.stack(rows)


def mean_of_warped(history: Tensor, grid: Tensor) -> Tensor:
    """Channel mean of history features (M, S, C, h, w) warped by (M, S, D, h, w, 2)."""
    warped = warp(history.flatten(0, 1), grid.flatten(0, 1))
    return warped.mean(dim=1).unflatten(0, history.shape[:2])


def plain_lift_splat(depth_prob: Tensor, context: Tensor, index: SplatIndex) -> Tensor:
    """Outer product (M, C, D, h, w), then a scattered sum."""
    return plain_pool_cells(context[:, :, None] * depth_prob[:, None], index)


def plain_pool_cells(volume: Tensor, index: SplatIndex) -> Tensor:
    """``index_add`` sample by sample."""
    channels, num_voxels = volume.shape[1], math.prod(index.grid_shape)
    samples = volume.unflatten(0, index.voxel_of_cell.shape[:2])
    grids = []
    for sample, voxel in zip(samples, index.voxel_of_cell, strict=True):
        keep = voxel.flatten() >= 0
        rows = sample.movedim(1, -1).reshape(-1, channels)[keep]
        empty = rows.new_zeros(num_voxels, channels)
        grids.append(empty.index_add(0, voxel.flatten()[keep], rows).t())
    return torch.stack(grids).reshape(-1, channels, *index.grid_shape)


def plain_attention(
    fusion: TemporalVoxelAttention, voxel: Tensor, temporal_voxel: Tensor
) -> Tensor:
    """The attention term before the gate, layer by layer."""
    out = fusion._heads(voxel, temporal_voxel)
    return fusion.norm(fusion.to_out(out.unflatten(2, voxel.shape[2:])))
