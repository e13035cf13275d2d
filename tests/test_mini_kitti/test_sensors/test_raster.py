"""Drawing triangles finds what ray casting finds."""

from __future__ import annotations

import numpy as np
import pytest

from mini_kitti.assets.materials import Material
from mini_kitti.assets.mesh import Mesh
from mini_kitti.assets.raw_labels import RawLabel
from mini_kitti.assets.surface import Surface
from mini_kitti.sensors.raster import Raster, average_light, rough_pixels
from mini_kitti.sensors.rig import make_rig
from mini_kitti.sensors.view import View
from mini_kitti.street.road import Road
from mini_kitti.street.scene import StreetScene, build_scene
from mini_kitti.street.traffic import Drive
from mini_kitti.street.trajectory import drive_poses

SIZE = (48, 156)


def test_hits_are_those_of_ray_casting() -> None:
    drive = Drive(speed=12.0, first=-0.8, last=5.0, end=0.5)
    scene = build_scene(seed=0, sequence=0, drive_length=7.5, drive=drive)
    scene.move_to(0.3)
    rig = make_rig(np.random.default_rng(0), SIZE, 1.6)
    pose = drive_poses(scene.road, scene.lane, 1.2, 1.6, np.array([3.0]), 0)[0]
    view = View(rig, "P3", pose)
    raster = Raster(scene, view.projection, SIZE)
    # Every third pixel, two rays each.
    slots = np.full(SIZE, -1)
    slots[:, ::3] = np.arange(SIZE[0] * SIZE[1] // 3).reshape(SIZE[0], -1)
    offsets = np.array([(-0.3, 0.2), (0.4, -0.1)])
    depth, triangle, weights = raster.hits(slots, offsets)
    row, column = np.nonzero(slots >= 0)
    pixels = (np.column_stack([column, row])[:, None] + offsets).reshape(-1, 2)
    cast_depth, cast_triangle, cast_weights = scene.cast(view.origin, view.rays(pixels))
    same = triangle == cast_triangle
    # The rest are rays along an edge between two triangles.
    assert same.mean() > 0.999
    assert (triangle < 0).mean() > 0.05
    assert (triangle >= scene.num_static).sum() > 50
    hit = same & (triangle >= 0)
    assert depth[hit] == pytest.approx(cast_depth[hit], rel=1e-3)
    assert np.abs(weights - cast_weights)[hit].max() < 0.02
    assert np.isinf(depth[triangle < 0]).all()


def test_triangle_that_begins_behind_the_camera() -> None:
    """A ground triangle 1 m below a level camera, from 5 m behind to 10 m ahead."""
    rig = make_rig(np.random.default_rng(0), SIZE, 1.6)
    corners = np.array([[(-5.0, -50.0, 0.0), (-5.0, 50.0, 0.0), (10.0, 0.0, 0.0)]])
    mesh = Mesh.from_triangles(corners, Surface(RawLabel.ROAD, Material.ASPHALT, (0, 0, 0)))
    road = Road(np.random.default_rng(0), -10.0, 50.0, (), 0.0, 5.0)
    scene = StreetScene(mesh, road, 0.0, np.array([0.0, 0.0, 1.0]))
    pose = np.eye(4)
    pose[:3, :3] = np.array([(0, 0, 1), (-1, 0, 0), (0, -1, 0)])
    _, position = rig.camera("P2")
    pose[2, 3] = 1.0 + position[1]
    view = View(rig, "P2", pose)
    intrinsics, _ = rig.camera("P2")
    slots = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE)
    depth, _, _ = Raster(scene, view.projection, SIZE).hits(slots, np.zeros((1, 2)))
    middle = depth.reshape(SIZE)[:, round(intrinsics[0, 2])]
    # A row v below the horizon sees the ground at depth f / (v - cy); the lens is 3 mm behind.
    below = np.arange(SIZE[0]) - intrinsics[1, 2]
    expected = np.where(below > 0, intrinsics[1, 1] / np.maximum(below, 1e-9), np.inf)
    seen = np.isfinite(middle)
    assert middle[seen] == pytest.approx(expected[seen], rel=1e-6)
    assert (seen == (expected < 9.5)).mean() > 0.95
    assert seen[-1]


def test_rough_pixels_are_both_sides_of_a_step() -> None:
    image = np.zeros((3, 4, 3), dtype=np.float32)
    image[1, 2, 1] = 0.2
    expected = np.zeros((3, 4), dtype=bool)
    expected[1, 1:4] = expected[0, 2] = expected[2, 2] = True
    assert (rough_pixels(image, 0.1) == expected).all()
    assert not rough_pixels(image, 0.3).any()


def test_average_is_of_light() -> None:
    image = np.full((1, 2, 3), 0.3, dtype=np.float32)
    colors = np.array([(0.0, 0.0, 0.6), (1.0, 0.0, 0.8)], dtype=np.float32)
    average_light(colors, np.array([[-1, 0]]), image)
    # Light is the square of the sRGB value: sqrt((0 + 1) / 2), 0, sqrt((0.36 + 0.64) / 2).
    assert image[0, 1] == pytest.approx((0.5**0.5, 0.0, 0.5**0.5))
    assert image[0, 0] == pytest.approx(0.3)
