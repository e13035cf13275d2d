"""Camera frustum: which pixel and depth a frustum cell stands for, and where in space that is.

Shape letters: B batch, D depth bin, H W image, h w feature map.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

FeaturePixels = Literal["corners", "centres"]


def feature_pixels(
    length: int,
    count: int,
    convention: FeaturePixels,
    device: torch.device | str | None = None,
) -> Tensor:
    """Returns the image coordinate of each feature cell along one axis.

    Args:
        length: Image size along the axis, pixels.
        count: Number of feature cells along the axis.
        convention: ``corners`` spreads the cells from the first to the last pixel centre (the
            released behaviour); ``centres`` takes the middle of the block of pixels that a cell
            covers.
        device: Device of the result.

    Returns:
        (count,) float64, pixels, 0 = centre of the first pixel.

    Raises:
        ValueError: If ``convention`` is neither of the two.
    """
    if convention == "corners":
        return torch.linspace(0, length - 1, count, dtype=torch.float64, device=device)
    if convention == "centres":
        cells = torch.arange(count, dtype=torch.float64, device=device)
        return (cells + 0.5) * (length / count) - 0.5
    raise ValueError(f"feature pixels must be 'corners' or 'centres', got {convention!r}")


def frustum_cells(columns: Tensor, rows: Tensor, depths: Tensor) -> Tensor:
    """Returns (column, row, depth) of every frustum cell.

    Args:
        columns: (w,) network pixels.
        rows: (h,) network pixels.
        depths: (D,) metres.

    Returns:
        (D, h, w, 3).
    """
    depth, row, column = torch.meshgrid(depths, rows, columns, indexing="ij")
    return torch.stack((column, row, depth), dim=-1)


def unproject(
    cells: Tensor,
    intrinsics: Tensor,
    pixel_transform: Tensor,
    lidar_from_camera: Tensor,
    augmented_from_lidar: Tensor,
) -> Tensor:
    """Places frustum cells in space.

    A cell's pixel and depth are those of a projection ``(u d, v d, d) = K3 X + k4`` with ``K = [K3
    | k4]``: the fourth column moves from the rectified camera 0, which the extrinsics speak of, to
    the camera that took the image. Everything runs in float64: the matrices are tiny and a rounding
    error of a coordinate can change the voxel.

    Args:
        cells: (D, h, w, 3) column, row (network pixels), depth (metres).
        intrinsics: (B, 4, 4) camera-0 point -> original pixel.
        pixel_transform: (B, 3, 3) original pixel -> network pixel.
        lidar_from_camera: (B, 4, 4).
        augmented_from_lidar: (B, 4, 4).

    Returns:
        (B, D, h, w, 3) float64, metres, augmented lidar frame.
    """
    intrinsics, pixel_transform = intrinsics.double(), pixel_transform.double()
    augmented_from_camera = augmented_from_lidar.double() @ lidar_from_camera.double()
    augmented_from_ray = augmented_from_camera[:, :3, :3] @ torch.linalg.inv(intrinsics[:, :3, :3])
    # One affine map of (column * depth, row * depth, depth) does the whole chain.
    linear = augmented_from_ray @ torch.linalg.inv(pixel_transform)
    offset = augmented_from_camera[:, :3, 3] - (
        augmented_from_ray @ intrinsics[:, :3, 3:4]
    ).squeeze(-1)

    cells = cells.double()
    rays = torch.cat((cells[..., :2] * cells[..., 2:], cells[..., 2:]), dim=-1)
    points = torch.einsum("bij,dhwj->bdhwi", linear, rays)
    return points + offset[:, None, None, None]
