"""Summation of frustum features into voxels.

A frustum feature is the product of a depth probability and an image feature, so a voxel's sum is
one row of a sparse matrix product: the row's entries are the probabilities of the cells, of all
cameras, that fall into the voxel. ``torch.nn.functional.embedding_bag`` computes just that,
forwards and backwards, one bag a voxel, without building the (C, D, h, w) volume and without
atomics: the result does not depend on the order in which threads run.

Source of the idea: "Lift, Splat, Shoot: Encoding Images from Arbitrary Camera Rigs by Implicitly
Unprojecting to 3D" (J. Philion, S. Fidler, ECCV 2020), sections 3.1 and 3.2.

Shape letters: B batch, N camera, M = B * N image, C channel, D depth bin, h w feature map, X Y Z
voxel, K kept frustum cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from htcl.ops.device import standard_only, suits_gpu

# Channels that one pass of `pool_cells` copies to channels-last; bounds its scratch memory.
POOL_CHANNELS = 16


@dataclass(frozen=True)
class SplatIndex:
    """Which frustum cell goes into which voxel; made once a forward pass.

    Attributes:
        voxel_of_cell: (B, N, D, h, w) int64, voxel number in the sample's grid, -1 = dropped.
        cells: (K,) int64, flat numbers (over M, D, h, w) of the kept cells, ordered by voxel; then,
            in an index of fixed size, those of the dropped ones.
        pixels: (K,) int64, flat numbers (over M, h, w) of the pixels of ``cells``.
        starts: (V + 1,) int64; ``cells[starts[v]:starts[v + 1]]`` fall into voxel ``v``. In an
            index of fixed size, a place for each pixel's dropped cells follows the B*X*Y*Z voxels.
        grid_shape: (X, Y, Z).
    """

    voxel_of_cell: Tensor
    cells: Tensor
    pixels: Tensor
    starts: Tensor
    grid_shape: tuple[int, int, int]

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Raises ValueError if ``shape`` (M, D, h, w) of tensor ``name`` is not the index's own."""
        own = tuple(self.voxel_of_cell.flatten(0, 1).shape)
        if tuple(shape) != own:
            raise ValueError(
                f"{name} covers (M, D, h, w) = {tuple(shape)}, but the splat index was built for "
                f"{own}; check image size and depth bins"
            )

    def by_sample(self, rows: Tensor) -> tuple[Tensor, ...]:
        """A row for each place of ``starts`` -> B tensors of the rows of a sample's voxels."""
        batch = len(self.voxel_of_cell)
        return rows[: batch * math.prod(self.grid_shape)].chunk(batch)


def build_splat_index(voxel_of_cell: Tensor, grid_shape: tuple[int, int, int]) -> SplatIndex:
    """Orders frustum cells by the voxel of a grid (X, Y, Z) that they fall into.

    Their C-order voxel numbers are ``voxel_of_cell`` (B, N, D, h, w) int64, negative = dropped. On
    a GPU the dropped ones stay, to be summed where nobody looks: their number would have to be
    waited for. Standard operators alone need no order: the index is the voxel of each cell.
    """
    if standard_only():
        none = voxel_of_cell.new_empty(0)
        return SplatIndex(voxel_of_cell, none, none, none, grid_shape)
    fixed_size = suits_gpu(voxel_of_cell)
    batch, cameras, depths, height, width = voxel_of_cell.shape
    num_voxels = batch * math.prod(grid_shape)
    device, pixels_of_map = voxel_of_cell.device, height * width
    # Dropped cells go behind the grid, to a place for each pixel, so that no sum is a long one.
    num_dumps = batch * cameras * pixels_of_map
    dumps = num_voxels + torch.arange(num_dumps, device=device)
    samples = torch.arange(batch, device=device).view(-1, 1, 1, 1, 1) * math.prod(grid_shape)
    voxels = torch.where(
        voxel_of_cell >= 0,
        voxel_of_cell + samples,
        dumps.view(batch, cameras, 1, height, width),
    )
    # A stable order fixes the order of the summands, and with it the rounding of the sums.
    sorted_voxels, cells = voxels.flatten().sort(stable=True)
    places = num_voxels + num_dumps if fixed_size else num_voxels
    starts = torch.searchsorted(sorted_voxels, torch.arange(places + 1, device=device))
    if not fixed_size:
        cells = cells[: starts[-1]]
    image = torch.div(cells, depths * pixels_of_map, rounding_mode="floor")
    pixels = image * pixels_of_map + cells % pixels_of_map
    return SplatIndex(voxel_of_cell, cells, pixels, starts, grid_shape)


def lift_splat(depth_prob: Tensor, context: Tensor, index: SplatIndex) -> Tensor:
    """Sums probability (M, D, h, w) times feature (M, C, h, w) of a voxel's cells: (B, C, X, Y, Z).

    Equal to :func:`pool_cells` of the outer product (M, C, D, h, w). Half-precision inputs are
    summed, and returned, in float32.

    Raises:
        ValueError: If a shape does not fit the index.
    """
    images, channels, height, width = context.shape
    index.check("depth_prob", tuple(depth_prob.shape))
    index.check("context", (images, depth_prob.shape[1], height, width))
    dtype = _sum_dtype(depth_prob, context)
    if standard_only():
        return _scatter(depth_prob.to(dtype)[:, None] * context.to(dtype)[:, :, None], index)
    rows = context.to(dtype).permute(0, 2, 3, 1).reshape(-1, channels)
    weights = depth_prob.to(dtype).reshape(-1).index_select(0, index.cells)
    voxels = F.embedding_bag(
        index.pixels,
        rows,
        index.starts,
        mode="sum",
        per_sample_weights=weights,
        include_last_offset=True,
    )
    # Transposing plain matrices is an order of magnitude faster than permuting five axes.
    grids = [rows.t().contiguous() for rows in index.by_sample(voxels)]
    grid = grids[0][None] if len(grids) == 1 else torch.stack(grids)
    return grid.reshape(-1, channels, *index.grid_shape)


def pool_cells(volume: Tensor, index: SplatIndex) -> Tensor:
    """Sums features (M, C, D, h, w) of all frustum cells of a voxel, like ``index_add``.

    Returns (B, C, X, Y, Z); float32 for half-precision input.

    Raises:
        ValueError: If the shape does not fit the index.
    """
    index.check("volume", (volume.shape[0], *volume.shape[2:]))
    if standard_only():
        return _scatter(volume.to(_sum_dtype(volume)), index)
    return _PoolCells.apply(volume, index)


def _scatter(volume: Tensor, index: SplatIndex) -> Tensor:
    """:func:`pool_cells` by one addition, in no fixed order, of rows to the voxels' rows."""
    batch, channels = len(index.voxel_of_cell), volume.shape[1]
    count = math.prod(index.grid_shape)
    first = torch.arange(batch, device=volume.device).view(-1, 1, 1, 1, 1) * count
    # Dropped cells go to a row behind the grids.
    places = torch.where(index.voxel_of_cell >= 0, index.voxel_of_cell + first, batch * count)
    rows = volume.permute(0, 2, 3, 4, 1).reshape(-1, channels)
    sums = rows.new_zeros(batch * count + 1, channels).index_add(0, places.flatten(), rows)
    grids = sums[: batch * count].view(batch, count, channels).mT
    return grids.reshape(batch, channels, *index.grid_shape)


class _PoolCells(torch.autograd.Function):
    """Sum over the cells of a voxel; its gradient is a plain look-up of each cell's voxel."""

    @staticmethod
    def forward(ctx: Any, volume: Tensor, index: SplatIndex) -> Tensor:
        ctx.index, ctx.shape, ctx.dtype = index, volume.shape, volume.dtype
        batch, (images, channels) = len(index.voxel_of_cell), volume.shape[:2]
        dtype = _sum_dtype(volume)
        cells = volume.reshape(images, channels, -1)
        num_voxels = math.prod(index.grid_shape)
        out = torch.empty(batch, channels, num_voxels, dtype=dtype, device=volume.device)
        for first in range(0, channels, POOL_CHANNELS):
            part = slice(first, first + POOL_CHANNELS)
            rows = torch.cat([image[part].t().to(dtype) for image in cells])
            voxels = F.embedding_bag(
                index.cells, rows, index.starts, mode="sum", include_last_offset=True
            )
            for target, sums in zip(out, index.by_sample(voxels), strict=True):
                target[part].copy_(sums.t())
        return out.reshape(batch, channels, *index.grid_shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        images, channels = ctx.shape[:2]
        result = grad.new_empty(images, channels, math.prod(ctx.shape[2:]))
        voxels = ctx.index.voxel_of_cell.flatten(2)
        for image, target in enumerate(result):
            sample, camera = divmod(image, voxels.shape[1])
            voxel, rows = voxels[sample, camera], grad[sample].reshape(channels, -1)
            torch.index_select(rows, 1, voxel.clamp(min=0), out=target)
            target.mul_(voxel >= 0)
        return result.reshape(ctx.shape).to(ctx.dtype), None


def _sum_dtype(*tensors: Tensor) -> torch.dtype:
    """The dtype to sum in: at least float32."""
    return reduce(torch.promote_types, (tensor.dtype for tensor in tensors), torch.float32)
