"""Camera images of a street: one ray a pixel with adaptive anti-aliasing.

Shape letters in this file: H, W image; N ray.
"""

from __future__ import annotations

import numpy as np

from mini_kitti.sensors.light import Light
from mini_kitti.sensors.raster import Raster, average_light, rough_pixels
from mini_kitti.sensors.shading import shade
from mini_kitti.sensors.view import View
from mini_kitti.street.scene import StreetScene

__all__ = ["render_image", "render_labels"]

_CONTRAST = 0.05  # sRGB step between neighbouring pixels from which more rays are sent
_GRID = np.array([(-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375)])


def render_image(
    scene: StreetScene, light: Light, view: View, rng: np.random.Generator
) -> np.ndarray:
    """Return an RGB image (H, W, 3) uint8.

    One ray a pixel, then four more where neighbouring pixels differ: edges are smooth, as stereo
    matching to a fraction of a pixel needs them, at little more than the price of one ray.

    Args:
        scene: The street.
        light: Its light.
        view: Camera and place.
        rng: Of the sensor noise.
    """
    height, width = view.rig.image_size
    raster = Raster(scene, view.projection, (height, width))
    slots = np.arange(height * width).reshape(height, width)
    middle = np.zeros((1, 2))
    hits = raster.hits(slots, middle)
    image = shade(scene.looks, light, view, slots, middle, hits).reshape(height, width, 3)
    rough = rough_pixels(image, _CONTRAST)
    if rough.any():
        slots = np.where(rough, np.cumsum(rough).reshape(rough.shape) - 1, -1)
        hits = raster.hits(slots, _GRID)
        average_light(shade(scene.looks, light, view, slots, _GRID, hits), slots, image)
    noise = rng.normal(0.0, 0.004, size=(height, width, 1)).astype(np.float32)
    return np.clip((image + noise) * 255.0 + 0.5, 0, 255).astype(np.uint8)


def render_labels(scene: StreetScene, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Return raw ids (H, W) uint32, 0 for sky, and depth in metres (H, W) float32, inf for sky."""
    shape = view.rig.image_size
    depth, triangle, _ = scene.cast(view.origin, view.rays(view.all_pixels()))
    labels = np.where(triangle >= 0, scene.mesh.label[triangle], 0)
    return labels.reshape(shape).astype(np.uint32), depth.reshape(shape)
