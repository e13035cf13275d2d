"""Views of a voxel grid as bundles of rays in the frame of the voxels.

Frames: voxel frame with the grid's front (``VoxelGrid.front``) and z up, metres; camera x right, y
down, z front. ``a_from_b`` takes a point in b to a. The centre of the top-left pixel is (0, 0).

Shape letters: H W image.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from htcl.geometry import VoxelGrid

# Eye of the chase view: distance behind the grid and height above its floor in lengths of the grid,
# and horizontal field of view in degrees.
CHASE_BEHIND, CHASE_ABOVE, CHASE_FIELD = 0.50, 0.42, 50.0
# Metres behind the grid that the view from above shows too, where the car stands.
TOP_MARGIN = 5.0


# Height and width.
Size = tuple[int, int]


class View(NamedTuple):
    """A bundle of rays.

    Attributes:
        rays: Origin and direction of every pixel's ray, float32 (H, W, 6).
        width: Constant part of the pixel size in metres (parallel rays).
        spread: Part of the pixel size that grows with depth (rays through one point).
    """

    rays: np.ndarray
    width: float
    spread: float

    def pixel_size(self, depth: np.ndarray) -> np.ndarray:
        """Size of a pixel in metres at a ray parameter; above 0 also where a ray begins."""
        return np.maximum(self.width + self.spread * depth, 1e-6)


def camera_view(
    intrinsics: np.ndarray, voxel_from_camera: np.ndarray, image_size: Size, out_size: Size
) -> View:
    """What a pinhole camera sees; its image is stretched to ``out_size``.

    Args:
        intrinsics: Projection of the camera frame to pixels, (4, 4) or (3, 4); the 4th column may
            be non-zero (KITTI's P2).
        voxel_from_camera: Rigid or affine motion from the camera frame to the voxel frame, (4, 4).
        image_size: That of the intrinsics.
        out_size: That of the picture.
    """
    height, width = out_size
    # The outer borders of the two images agree, so pixel centres scale about (-0.5, -0.5).
    v = (np.arange(height) + 0.5) * image_size[0] / height - 0.5
    u = (np.arange(width) + 0.5) * image_size[1] / width - 0.5
    pixels = np.stack([*np.meshgrid(u, v), np.ones((height, width))], axis=-1)
    inverse = np.linalg.inv(intrinsics[:3, :3])
    centre = -inverse @ intrinsics[:3, 3]
    rotation, translation = voxel_from_camera[:3, :3], voxel_from_camera[:3, 3]
    directions = pixels @ (rotation @ inverse).T
    origins = np.broadcast_to(rotation @ centre + translation, directions.shape)
    rays = np.concatenate([origins, directions], axis=-1).astype(np.float32)
    return View(rays, 0.0, float(image_size[1] / width / intrinsics[0, 0]))


def chase_view(grid: VoxelGrid, out_size: Size) -> View:
    """From behind and above the car, looking forward over the grid."""
    rotation, grid = grid.reference_from_car, grid.along_car()
    origin, extent = np.array(grid.origin), np.subtract(grid.upper, grid.origin)
    length = float(max(extent[0], extent[1]))
    middle = origin[1] + extent[1] / 2
    eye = np.array([origin[0] - CHASE_BEHIND * length, middle, origin[2] + CHASE_ABOVE * length])
    target = np.array([origin[0] + 0.30 * extent[0], middle, origin[2]])
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    voxel_from_camera = np.eye(4)
    voxel_from_camera[:3] = np.stack([right, np.cross(forward, right), forward, eye], axis=1)
    height, width = out_size
    focal = width / 2 / np.tan(np.radians(CHASE_FIELD / 2))
    intrinsics = np.eye(4)
    intrinsics[:2, :3] = [[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2]]
    voxel_from_camera[:3] = rotation @ voxel_from_camera[:3]
    return camera_view(intrinsics, voxel_from_camera, out_size, out_size)


def top_aspect(grid: VoxelGrid) -> float:
    """Width over height of a picture that :func:`top_view` fills, 0.4 to 1.6."""
    grid = grid.along_car()
    extent = np.subtract(grid.upper, grid.origin)
    return float(np.clip(extent[1] / (extent[0] + TOP_MARGIN), 0.4, 1.6))


def top_view(grid: VoxelGrid, out_size: Size) -> View:
    """Parallel rays from above: forward is up, left is left."""
    height, width = out_size
    rotation, grid = grid.reference_from_car, grid.along_car()
    origin, extent = grid.origin, np.subtract(grid.upper, grid.origin)
    pixel = max((extent[0] + TOP_MARGIN) / height, extent[1] / width)
    x = origin[0] + extent[0] - (np.arange(height) + 0.5) * pixel
    y = origin[1] + extent[1] / 2 - (np.arange(width) + 0.5 - width / 2) * pixel
    rays = np.zeros((height, width, 6), dtype=np.float32)
    rays[..., 0] = x[:, None]
    rays[..., 1] = y[None]
    rays[..., 2] = origin[2] + extent[2] + 10.0
    rays[..., 5] = -1.0
    rays[..., :3] = rays[..., :3] @ rotation.T
    return View(rays, float(pixel), 0.0)
