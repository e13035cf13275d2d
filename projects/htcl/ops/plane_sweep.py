"""Plane sweep: where each cell of a view lies, at every depth, in other views.

Collins, "A Space-Sweep Approach to True Multi-Image Matching" (CVPR 1996); Watson et al., "The
Temporal Opportunist: Self-Supervised Multi-Frame Monocular Depth" (CVPR 2021), section 3.2.

Shape letters: M image, S source view, C channel, D depth plane, h w map.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from htcl.ops.inverse import affine_inverse

Behind = Literal["discard", "released"]


def released_intrinsics(intrinsics: Tensor, map_size: tuple[int, int]) -> Tensor:
    """The released camera matrix (M, 4, 4) float64: pixel intrinsics times a map's size (h, w).

    The product would be right for intrinsics in units of the image size. With those in pixels of
    the original the focal length is some hundred times too large, which the release learned with.
    """
    height, width = map_size
    # The product is rounded to float32 before it is widened, as the released network does.
    scaled = intrinsics.float().clone()
    scaled[..., 0, :] *= width
    scaled[..., 1, :] *= height
    return scaled.double()


def sweep_projection(
    intrinsics: Tensor, source_from_current: Tensor, unproject_offset: bool = True
) -> Tensor:
    """From cells of the current map with depth to cells of the source maps: (M, S, 4, 4) float32.

    The matrices take ``(f d, g d, d, 1)`` of the current map, with cell coordinates f (right), g
    (down) and depth d, to ``(f' d', g' d', d', 1)`` of the source map.

    Args:
        intrinsics: Camera matrix of the maps (M, 4, 4), float64.
        source_from_current: Motions (M, S, 4, 4) from the current to each source camera frame.
        unproject_offset: True inverts the camera matrix as a whole. False, as released, leaves its
            fourth column (the offset of the left colour camera from camera 0) out of the way back
            from the cell to the point, though not out of the projection.
    """
    inverse = affine_inverse(intrinsics)
    if not unproject_offset:
        inverse[:, :3, 3] = 0
    # In double precision: the released intrinsics cancel to few float32 digits.
    projection = intrinsics[:, None] @ source_from_current.double() @ inverse[:, None]
    return projection.float()


def sweep_grid(
    projection: Tensor, depths: Tensor, map_size: tuple[int, int], behind: Behind = "discard"
) -> Tensor:
    """Where each cell of the current map (h, w), at depths (D,) in metres, lies in each source map.

    Returns coordinates (x, y) for ``grid_sample(align_corners=True)``, i.e. -1 and 1 are the
    centres of the first and the last cell: (M, S, D, h, w, 2), in the precision of ``projection``.

    Args:
        projection: Matrices (M, S, 4, 4) from :func:`sweep_projection`.
        depths: Planes.
        map_size: Size of current and source maps.
        behind: ``discard`` sends points behind a source camera out of view; ``released`` projects
            them through the camera's centre.
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
    x, y = (points[..., :2, :] / (depth + 1e-7)[..., None, :]).unbind(dim=-2)
    grid = torch.stack([x / max(width - 1, 1), y / max(height - 1, 1)], dim=-2)
    grid = 2 * (grid - 0.5)
    if behind == "discard":
        grid = grid.masked_fill((depth <= 0)[..., None, :], 3.0)
    # 3 is out of view on every map of two cells or more; far larger numbers overflow integers.
    grid = grid.clamp(-3.0, 3.0).transpose(-1, -2)
    return grid.unflatten(-2, (height, width))


def warp(maps: Tensor, grid: Tensor) -> Tensor:
    """Bilinear samples (M, C, D, h, w) of maps at a grid (M, D, h, w, 2), zero out of view."""
    sampled = F.grid_sample(maps, grid.flatten(1, 2), align_corners=True)
    return sampled.unflatten(2, grid.shape[1:3])
