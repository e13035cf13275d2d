"""Intrinsics for the plane sweep.

Shape letters: B batch, T frame, h w feature map.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pixel_times_feature_size(intrinsics: Tensor, map_size: tuple[int, int]) -> Tensor:
    """The released convention: pixel intrinsics, multiplied by the size of the feature map.

    The multiplication would be right for intrinsics in units of the image size. With pixels the
    focal length comes out some hundred times too large, which the released network learned with.

    Args:
        intrinsics: Camera matrix in pixels of the original image with a fourth row (B,4,4).
        map_size: Size (h, w) of the feature map.

    Returns:
        Matrices (B,4,4), float64.
    """
    height, width = map_size
    scale = intrinsics.new_tensor([width, height, 1, 1])
    # The product is rounded to float32 before it is widened, as the released network does.
    return (intrinsics * scale[:, None]).double()


def feature_intrinsics(
    intrinsics: Tensor,
    pixel_transform: Tensor,
    image_size: tuple[int, int],
    map_size: tuple[int, int],
) -> Tensor:
    """Camera matrix of the feature map itself.

    A feature cell covers a block of image pixels, and pixel centres have integer coordinates, so
    that the pixel u lies at the cell coordinate ``(u + 0.5) * w / W - 0.5``.

    Args:
        intrinsics: Camera matrix in pixels of the original image with a fourth row (B,4,4).
        pixel_transform: From original to network pixels, homogeneous (B,3,3).
        image_size: Size (H, W) of the network image in pixels.
        map_size: Size (h, w) of the feature map.

    Returns:
        Matrices (B,4,4), float64, that take a camera point in metres to
        ``(f*d, g*d, d, 1)`` with cell coordinates f (right), g (down) and depth d.
    """
    scale_y, scale_x = (cells / pixels for cells, pixels in zip(map_size, image_size, strict=True))
    cell_from_pixel = torch.tensor(
        [[scale_x, 0, 0.5 * scale_x - 0.5], [0, scale_y, 0.5 * scale_y - 0.5], [0, 0, 1]],
        dtype=torch.float64,
        device=intrinsics.device,
    )
    out = intrinsics.double().clone()
    out[:, :3] = cell_from_pixel @ pixel_transform.double() @ out[:, :3]
    return out


def sweep_projection(
    intrinsics: Tensor, source_from_current: Tensor, unproject_offset: bool
) -> Tensor:
    """From cells of the current feature map with depth to cells of the history maps.

    Args:
        intrinsics: Camera matrix of the feature maps (B,4,4), float64.
        source_from_current: Motions (B,T-1,4,4) from the current to each history camera frame.
        unproject_offset: True inverts the camera matrix as a whole. False, as released, leaves its
            fourth column (the offset of the left colour camera from camera 0) out of the way back
            from the cell to the point, though not out of the projection.

    Returns:
        Matrices (B,T-1,4,4), float32, that take ``(f*d, g*d, d, 1)`` of the current map to
        ``(f'*d', g'*d', d', 1)`` of the history map.
    """
    inverse = torch.linalg.inv(intrinsics)
    if not unproject_offset:
        inverse[:, :3, 3] = 0
    # In double precision: the released intrinsics cancel to few float32 digits.
    projection = intrinsics[:, None] @ source_from_current.double() @ inverse[:, None]
    return projection.float()
