"""Space, images and cameras, said once: plain torch and numpy, without any framework.

Frames: *reference* is the frame of the voxel grid (of SemanticKITTI the lidar: x front, y left,
z up), *camera* has x right, y down, z front; metres. A matrix ``a_from_b`` takes a homogeneous
point in frame b to frame a. The centre of the top-left pixel is (0, 0).
"""

from htcl.geometry.camera import Camera
from htcl.geometry.depth_bins import DepthBins
from htcl.geometry.image_transform import ImageTransform
from htcl.geometry.pixels import PIXEL_RULES, PixelRule, aligns_corners, cell_pixels
from htcl.geometry.poses import relative_motion
from htcl.geometry.visibility import VoxelSight, field_of_view
from htcl.geometry.voxel_grid import IndexRounding, VoxelGrid

__all__ = [
    "PIXEL_RULES",
    "Camera",
    "DepthBins",
    "ImageTransform",
    "IndexRounding",
    "PixelRule",
    "VoxelGrid",
    "VoxelSight",
    "aligns_corners",
    "cell_pixels",
    "field_of_view",
    "relative_motion",
]
