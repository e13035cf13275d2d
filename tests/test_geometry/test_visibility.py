from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from street_scene import GRID, IMAGE, INTRINSICS, LIDAR_FROM_CAMERA, ORIGIN, SIZE

from htcl.errors import InvalidValueError
from htcl.geometry import Camera, VoxelGrid, VoxelSight, cell_pixels, field_of_view

# 12 voxels of 1 m: x = 1, 2, 3 ahead, y = 1.5, 0.5, -0.5, -1.5 from left to right, on the axis.
SMALL = VoxelGrid((0.5, -2.0, -0.5), 1.0, (3, 4, 1))
FORWARD = [[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]]
AXES = torch.tensor([FORWARD], dtype=torch.float64)


def wide_camera() -> Camera:
    """One camera in the origin, 4 x 2 pixels, which sees ``|y|`` < x (pixel 1.5 - 2 y / x)."""
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:2, :3] = torch.tensor([[2, 0, 1.5], [0, 2, 0.5]])
    identity = torch.eye(4, dtype=torch.float64)[None]
    return Camera(matrix[None], AXES, identity[:, :3, :3], identity, (2, 4))


def seen(mask) -> list[list[int]]:
    """Rows of x = 3, 2, 1, as on a map with forward up and left left."""
    return torch.as_tensor(mask)[:, :, 0].int().flip(0, 1).tolist()


def project(point):
    """Pixel and depth of a point of the voxel frame, by the definition."""
    homogeneous = INTRINSICS @ np.linalg.inv(LIDAR_FROM_CAMERA) @ np.append(point, 1.0)
    return homogeneous[:2] / homogeneous[2], homogeneous[2]


def test_field_of_view_equals_direct_projection():
    shape = GRID.shape
    mask = field_of_view(GRID, INTRINSICS[None], LIDAR_FROM_CAMERA[None], IMAGE)
    expected = np.zeros(shape, dtype=bool)
    for cell in np.ndindex(shape):
        (u, v), depth = project(ORIGIN + (np.array(cell) + 0.5) * SIZE)
        expected[cell] = depth > 0 and -0.5 <= u < IMAGE[1] - 0.5 and -0.5 <= v < IMAGE[0] - 0.5
    assert 0.1 < expected.mean() < 0.9
    np.testing.assert_array_equal(mask, expected)


def test_a_rig_sees_what_one_of_its_cameras_sees():
    back = np.diag([-1.0, -1.0, 1.0, 1.0]) @ LIDAR_FROM_CAMERA
    around = replace(GRID, origin=(-6.4, -6.4, -2.0))
    front = field_of_view(around, INTRINSICS[None], LIDAR_FROM_CAMERA[None], IMAGE)
    rear = field_of_view(around, INTRINSICS[None], back[None], IMAGE)
    both = field_of_view(
        around, np.stack([INTRINSICS] * 2), np.stack([LIDAR_FROM_CAMERA, back]), IMAGE
    )
    np.testing.assert_array_equal(both, front | rear)
    assert front.any() and rear.any() and not (front & rear).any()


def test_in_view_by_hand():
    """At x = 1 the outer two, at 1.5 m, are out of view; behind the camera everything is."""
    assert seen(VoxelSight(SMALL, wide_camera()).in_view) == [
        [1, 1, 1, 1],
        [1, 1, 1, 1],
        [0, 1, 1, 0],
    ]
    behind = replace(SMALL, origin=(-3.5, -2.0, -0.5))
    assert not VoxelSight(behind, wide_camera()).in_view.any()


@pytest.mark.parametrize(
    ("tolerance", "expected"),
    [
        (0.0, [[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 1, 0]]),
        # Half the diagonal of a voxel is 0.87 m: one metre further is still hidden.
        (None, [[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 1, 0]]),
        (1.0, [[0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 1, 0]]),
    ],
)
def test_visible_by_hand(tolerance, expected):
    """A map of two cells: 1 m on the left, 2 m on the right."""
    depth = torch.tensor([[[1.0, 2.0]]])
    assert seen(VoxelSight(SMALL, wide_camera()).visible(depth, tolerance)) == expected


def test_half_a_diagonal_is_the_default_tolerance():
    sight = VoxelSight(SMALL, wide_camera())
    reach = 3**0.5 / 2
    assert sight.visible(torch.full((1, 1, 1), 3.001 - reach))[2].all()
    assert not sight.visible(torch.full((1, 1, 1), 2.999 - reach))[2].any()


def test_nothing_out_of_view_is_visible_and_depth_zero_hides_all():
    sight = VoxelSight(SMALL, wide_camera())
    assert torch.equal(sight.visible(torch.full((1, 3, 5), 99.0)), sight.in_view)
    assert not sight.visible(torch.zeros(1, 3, 5)).any()


def test_one_camera_that_sees_a_voxel_is_enough():
    two = Camera.stack([wide_camera()[0]] * 2)
    depth = torch.tensor([[[2.0, 0.0]], [[1.0, 1.0]]])
    assert seen(VoxelSight(SMALL, two).visible(depth)) == [
        [0, 0, 0, 0],
        [1, 1, 0, 0],
        [0, 1, 1, 0],
    ]


@pytest.mark.parametrize("pixels", ["centres", "released"])
def test_equals_the_cameras_own_projection(pixels):
    """A rig with a crop, a scaled and turned scene, a fourth column: point by point."""
    back = np.diag([-1.0, -1.0, 1.0, 1.0]) @ LIDAR_FROM_CAMERA
    turn = torch.tensor([[0.8, -0.6, 0, 0.3], [0.6, 0.8, 0, 0], [0, 0, 1.05, 0], [0, 0, 0, 1]])
    camera = Camera(
        intrinsics=torch.from_numpy(np.stack([INTRINSICS] * 2)),
        reference_from_camera=torch.from_numpy(np.stack([LIDAR_FROM_CAMERA, back])),
        image_transform=torch.tensor([[1.5, 0, 0], [0, 1.5, -4], [0, 0, 1]]).repeat(2, 1, 1),
        augmentation=turn.repeat(2, 1, 1),
        size=(64, 240),
        pixels=pixels,
    )
    grid = replace(GRID, origin=(-6.4, -6.4, -2.0))
    depth = torch.rand((2, 4, 7), generator=torch.manual_seed(0)).double() * 12
    centres = np.stack(np.meshgrid(*map(grid.centres, range(3)), indexing="ij"), axis=-1)
    points = torch.from_numpy(centres).reshape(-1, 3)
    recorded = (points - turn[:3, 3].double()) @ torch.linalg.inv(turn[:3, :3].double()).T
    pixel, distance = camera.project(recorded)
    in_view, visible = torch.zeros(2, len(points), dtype=torch.bool)
    for number in range(2):
        column, row = pixel[number].T
        inside = (distance[number] > 0) & (column >= -0.5) & (column < 239.5)
        inside &= (row >= -0.5) & (row < 63.5)
        x, y = (
            (middles[:, None] - positions).abs().argmin(dim=0)
            for middles, positions in (
                (cell_pixels(240, 7, pixels), column),
                (cell_pixels(64, 4, pixels), row),
            )
        )
        in_view |= inside
        visible |= inside & (distance[number] <= depth[number, y, x] + 0.5)
    sight = VoxelSight(grid, camera)
    assert 0.05 < visible.float().mean() < in_view.float().mean() < 0.9
    assert torch.equal(sight.in_view.flatten(), in_view)
    assert torch.equal(sight.visible(depth, 0.5).flatten(), visible)


def test_sight_and_field_of_view_agree():
    """Pictures and scores draw the same line."""
    camera = wide_camera()
    mask = field_of_view(SMALL, camera.intrinsics.numpy(), AXES.numpy(), camera.size)
    assert seen(mask) == seen(VoxelSight(SMALL, camera).in_view)


@pytest.mark.parametrize("shape", [(2, 1, 2), (1, 2)])
def test_one_map_for_each_camera(shape):
    with pytest.raises(InvalidValueError, match=r"expected \(1, h, w\): one map for each camera"):
        VoxelSight(SMALL, wide_camera()).visible(torch.ones(shape))
