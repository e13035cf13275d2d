from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from htcl.geometry import Camera

TURN = torch.tensor([[0.8, -0.6, 0, 0.3], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def kitti_like() -> Camera:
    """Two cameras with a crop and a fourth column; the scene of the second one is turned."""
    intrinsics = torch.eye(4).repeat(2, 1, 1)
    intrinsics[:, :3] = torch.tensor(
        [[718.9, 0, 607.2, 45.4], [0, 718.9, 185.2, -0.11], [0, 0, 1, 0.0038]]
    )
    intrinsics[1, 0, 3] = -337.3
    return Camera(
        intrinsics=intrinsics,
        reference_from_camera=torch.tensor(
            [[0.01, 0, 1, 0.27], [-1, 0.02, 0, 0.01], [0, -1, 0.01, -0.08], [0, 0, 0, 1]]
        ).repeat(2, 1, 1),
        image_transform=torch.tensor([[1.03, 0, 0], [0, 1.03, -3], [0, 0, 1]]).repeat(2, 1, 1),
        augmentation=torch.stack((torch.eye(4), TURN)),
        size=(384, 1280),
    )


def test_unproject_inverts_the_projection_of_the_matrices():
    """Project the lifted points by the matrices, one by one, in numpy."""
    cameras, depths = kitti_like(), torch.tensor([2.0, 20, 57.5])
    cells, points = cameras.frustum((2, 3), depths), cameras.unproject((2, 3), depths)
    assert points.dtype == torch.float64 and points.shape == (2, 3, 2, 3, 3)
    for number in range(2):
        camera = cameras[number]
        camera_from_augmented = torch.linalg.inv(camera.augmented_from_camera).numpy()
        for cell, point in zip(cells.reshape(-1, 3), points[number].reshape(-1, 3), strict=True):
            image = (
                camera.intrinsics.double().numpy()
                @ camera_from_augmented
                @ np.append(point.numpy(), 1)
            )
            depth = image[2]
            pixel = camera.image_transform.double().numpy() @ np.append(image[:2] / depth, 1)
            np.testing.assert_allclose([*pixel[:2], depth], cell.numpy(), rtol=1e-9, atol=1e-7)


def test_a_map_of_depths_is_one_plane_a_cell():
    cameras, depths = kitti_like(), torch.tensor([2.0, 20, 57.5])
    planes = cameras.unproject((2, 3), depths)
    chosen = torch.tensor([[[0, 1, 2], [2, 2, 0]], [[1, 1, 1], [0, 2, 1]]])
    points = cameras.unproject_map(depths[chosen])
    expected = planes.gather(1, chosen[:, None, ..., None].expand(-1, -1, -1, -1, 3))[:, 0]
    torch.testing.assert_close(points, expected)


def test_a_moved_camera_sees_from_where_it_stood():
    """One camera, two motions: a point's place now is its place then, moved."""
    camera = replace(kitti_like(), augmentation=torch.eye(4).repeat(2, 1, 1))[:1]
    ahead, aside = torch.eye(4), torch.eye(4)
    ahead[2, 3], aside[0, 3] = -1.5, 0.25
    moved = camera[:, None].moved(torch.stack([ahead, aside])[None])
    assert moved.shape == (1, 2)
    assert moved.intrinsics.shape == (1, 2, 4, 4)
    depth = torch.full((2, 3), 7.0)
    points = moved.flatten(1).unproject_map(depth.expand(1, 2, 2, 3))[0]
    reference = camera.reference_from_camera[0].double()
    now = camera.unproject_map(depth[None])[0]
    for motion, found in zip((ahead, aside), points, strict=True):
        change = reference @ motion.double() @ torch.linalg.inv(reference)
        torch.testing.assert_close(found, now @ change[:3, :3].T + change[:3, 3])


@pytest.mark.parametrize("pixels", ["centres", "released"])
def test_project_and_unproject_are_inverse(pixels: str):
    cameras = replace(kitti_like(), augmentation=torch.eye(4).repeat(2, 1, 1), pixels=pixels)
    depths = torch.tensor([3.0, 40.0])
    cells = cameras.frustum((4, 5), depths).reshape(-1, 3)
    points = cameras.unproject((4, 5), depths).reshape(2, -1, 3)
    found, depth = cameras.project(points)
    torch.testing.assert_close(found, cells[:, :2].expand(2, -1, 2), rtol=1e-9, atol=1e-7)
    torch.testing.assert_close(depth, cells[:, 2].expand(2, -1), rtol=1e-9, atol=1e-9)


def test_the_rule_places_the_cells():
    depths = torch.tensor([2.0])
    centred = kitti_like().frustum((48, 160), depths)
    torch.testing.assert_close(centred[0, 0, 0], torch.tensor([3.5, 3.5, 2]).double())
    released = replace(kitti_like(), pixels="released").frustum((48, 160), depths)
    torch.testing.assert_close(released[0, -1, -1], torch.tensor([1279, 383, 2]).double())


def test_a_maps_camera_matrix_sees_points_in_its_cells():
    cameras = kitti_like()
    matrix = cameras.map_intrinsics((48, 160))[0]
    point = torch.tensor([0.5, -0.3, 12, 1]).double()
    image = matrix @ point
    pixel = cameras.intrinsics[0].double() @ point
    network = cameras.image_transform[0].double() @ (pixel[:3] / pixel[2])
    torch.testing.assert_close((image[:2] / image[2] + 0.5) * 8 - 0.5, network[:2])


def test_leading_axes():
    rig = kitti_like()
    batch = Camera.stack([rig, rig])
    assert batch.shape == (2, 2) and batch.flatten().shape == (4,) and batch[0, 1].shape == ()
    points = batch.unproject((2, 3), torch.tensor([4.0]))
    torch.testing.assert_close(points[1], rig.unproject((2, 3), torch.tensor([4.0])))
    with pytest.raises(ValueError, match="different image size"):
        Camera.stack([rig, replace(rig, size=(192, 640))])


def test_repeat_goes_round():
    cameras = kitti_like()
    twice = cameras.repeat(2)
    assert twice.shape == (4,)
    assert torch.equal(twice.intrinsics[2:], cameras.intrinsics)
