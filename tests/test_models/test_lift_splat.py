"""The module that lifts image features into the voxel grid, for one camera and for rigs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.errors import InvalidValueError
from htcl.geometry import Camera, VoxelGrid
from htcl.models.view_transformers import LiftSplat

RANGE = [0, -6.4, -2, 12.8, 6.4, 4.4]
BINS = {"start": 2.0, "stop": 14.0, "step": 0.5}
MAP = (8, 12)


def lift_splat(point_cloud_range=tuple(RANGE), **changes) -> LiftSplat:
    grid = VoxelGrid.from_range(point_cloud_range, 0.2)
    config = {
        "specification": replace(SEMANTICKITTI, grid=grid),
        "voxel_size": 0.8,
        "depth_bins": BINS,
    }
    return LiftSplat(**{**config, **changes})


def rig(*cameras: dict[str, torch.Tensor], pixels="centres", size=(64, 96)) -> Camera:
    """A batch of one sample; each camera is what it has different from a plain one."""
    intrinsics = torch.tensor(
        [[70.0, 0, 45, 4.5], [0, 70, 30, -0.1], [0, 0, 1, 0.004], [0, 0, 0, 1]]
    )
    reference_from_camera = torch.tensor(
        [[0.01, 0, 1, 0.27], [-1, 0.02, 0, 0.01], [0, -1, 0.01, -0.08], [0, 0, 0, 1]]
    )
    image_transform = torch.tensor([[1.03, 0, 0], [0, 1.03, -3], [0, 0, 1]])
    plain = Camera(intrinsics, reference_from_camera, image_transform, torch.eye(4), size, pixels)
    return Camera.stack([replace(plain, **changes) for changes in cameras or ({},)])[None]


def points(lift: LiftSplat, cameras: Camera) -> torch.Tensor:
    return cameras.unproject(MAP, lift.depth_bins.values(dtype=torch.float64))


def test_a_lidar_point_lands_in_its_own_voxel():
    """Points that project onto the middle of a cell and a bin: their voxel is the cell's."""
    lift, cameras = lift_splat(), rig()
    rng = np.random.default_rng(0)
    depth_bin, row, column = (rng.integers(0, n, 500) for n in (24, 8, 12))
    # Walk from the pixel back to space by a solver of its own: two equations of the pixel, one of
    # the depth.
    projection = cameras.intrinsics[0, 0].double().numpy() @ np.linalg.inv(
        cameras.reference_from_camera[0, 0].double().numpy()
    )
    scale, shift = 1.03, np.array([0, -3.0])
    voxels = lift.index(cameras, MAP).voxel_of_cell[0, 0]
    checked = 0
    for d, i, j in zip(depth_bin, row, column, strict=True):
        depth = 2 + 0.5 * d
        u, v = (np.array([8 * j + 3.5, 8 * i + 3.5]) - shift) / scale
        rows = np.stack(
            (projection[0] - u * projection[2], projection[1] - v * projection[2], projection[2])
        )
        point = np.linalg.solve(rows[:, :3], np.array([0, 0, depth]) - rows[:, 3])
        coordinates = (point - RANGE[:3]) / 0.8
        if np.abs(coordinates - coordinates.round()).min() < 1e-4:
            continue
        x, y, z = np.floor(coordinates).astype(int)
        inside = 0 <= x < 16 and 0 <= y < 16 and 0 <= z < 8
        assert voxels[d, i, j] == ((x * 16 + y) * 8 + z if inside else -1)
        checked += 1
    assert checked > 400


def test_any_lidar_point_is_near_its_cell():
    """The nearest cell of a projected point is off by half a bin and half a cell at most."""
    lift, cameras = lift_splat(), rig()
    lidar = np.random.default_rng(1).uniform([3, -2, -1.5], [12, 2, 2], (300, 3))
    pixels, depth = (t.numpy() for t in cameras[0, 0].project(torch.from_numpy(lidar)))
    visible = (pixels > 0).all(1) & (pixels < [95, 63]).all(1) & (depth < 13.7)
    lidar, pixels, depth = lidar[visible], pixels[visible], depth[visible]
    assert len(lidar) > 100
    column, row = np.rint((pixels - 3.5) / 8).astype(int).T
    depth_bin = np.rint((depth - 2) / 0.5).astype(int)
    lifted = points(lift, cameras)[0, 0].numpy()[depth_bin, row, column]
    # Half a cell is 4 pixels on each of two axes; 0.25 m along a ray is at most 0.25 m * 1.5.
    bound = 0.25 * 1.5 + np.sqrt(2) * 4 / 1.03 / 70 * depth
    assert (np.linalg.norm(lifted - lidar, axis=1) < bound).all()


def test_lifting_inverts_the_projection_of_matrices():
    """KITTI-like cameras with a crop, a fourth column and a turned voxel frame, in numpy."""
    intrinsics = torch.tensor(
        [[718.9, 0, 607.2, -337.3], [0, 718.9, 185.2, -0.11], [0, 0, 1, 0.0038], [0, 0, 0, 1]]
    )
    turn = torch.tensor([[0.8, -0.6, 0, 0.3], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    cameras = rig({"intrinsics": intrinsics}, {"augmentation": turn}, size=(384, 1280))
    depths = torch.tensor([2.0, 20, 57.5])
    cells = cameras.frustum((3, 5), depths)
    lifted = cameras.unproject((3, 5), depths)[0]
    assert lifted.dtype == torch.float64
    for number, camera in enumerate(cameras[0, i] for i in range(2)):
        camera_from_augmented = np.linalg.inv(
            camera.augmentation.double().numpy() @ camera.reference_from_camera.double().numpy()
        )
        chain = camera.intrinsics.double().numpy() @ camera_from_augmented
        for cell, point in zip(cells.reshape(-1, 3), lifted[number].reshape(-1, 3), strict=True):
            image = chain @ np.append(point.numpy(), 1)
            depth = image[2]
            pixel = camera.image_transform.double().numpy() @ np.append(image[:2] / depth, 1)
            np.testing.assert_allclose([*pixel[:2], depth], cell.numpy(), rtol=1e-9, atol=1e-7)


def test_frustum_conventions():
    depths = lift_splat().depth_bins.values()
    released = rig(pixels="released").frustum(MAP, depths)
    assert released.shape == (24, 8, 12, 3)
    torch.testing.assert_close(released[-1, -1, -1], torch.tensor([95, 63, 13.5]).double())
    centred = rig().frustum(MAP, depths)
    torch.testing.assert_close(centred[0, 0, 0], torch.tensor([3.5, 3.5, 2]).double())


def test_augmentation_moves_the_points():
    matrix = torch.tensor([[0.8, -0.6, 0, 1], [0.6, 0.8, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]])
    lift, turned = lift_splat(), rig({"augmentation": matrix})
    matrix = matrix.double()
    expected = points(lift, rig()) @ matrix[:3, :3].T + matrix[:3, 3]
    torch.testing.assert_close(points(lift, turned), expected)


def test_samples_of_a_batch_do_not_mix():
    lift = lift_splat()
    moved = torch.eye(4)
    moved[0, 3] = 1.6
    samples = [rig(), rig({"augmentation": moved})]
    depth, context = torch.rand(2, 24, 8, 12).softmax(1), torch.randn(2, 3, 8, 12)
    cameras = Camera.stack([sample[0] for sample in samples])
    together = lift.splat(depth, context, lift.index(cameras, MAP))
    assert together.shape == (2, 3, 16, 16, 8)
    for i in range(2):
        alone = lift.splat(depth[[i]], context[[i]], lift.index(samples[i], MAP))
        torch.testing.assert_close(together[[i]], alone)


def test_splat_is_the_pool_of_the_outer_product():
    lift = lift_splat()
    depth, context = torch.rand(1, 24, 8, 12).softmax(1), torch.randn(1, 3, 8, 12)
    index = lift.index(rig(), MAP)
    volume = depth[:, None] * context[:, :, None]
    torch.testing.assert_close(lift.splat(depth, context, index), lift.pool(volume, index))


class TestRigs:
    """All cameras of a sample fill one grid."""

    GRID = (-12.8, -12.8, -2, 12.8, 12.8, 4.4)
    HALF_TURN = torch.diag(torch.tensor([-1.0, -1, 1, 1]))

    def test_a_copy_turned_by_half_a_turn_gives_the_mirror_image_behind(self):
        """Voxels in front as if the copy were not there; behind, x and y exchange their ends."""
        lift = lift_splat(self.GRID)
        assert lift.grid.shape == (32, 32, 8)
        front = rig()
        behind = self.HALF_TURN @ front.reference_from_camera[0, 0]
        both = rig({}, {"reference_from_camera": behind})
        depth, context = torch.rand(1, 24, 8, 12).softmax(1), torch.randn(1, 3, 8, 12)
        alone = lift.splat(depth, context, lift.index(front, MAP))
        rigged = lift.splat(
            depth.repeat(2, 1, 1, 1), context.repeat(2, 1, 1, 1), lift.index(both, MAP)
        )
        assert alone[:, :, :16].abs().sum() == 0
        assert alone[:, :, 16:].abs().sum() > 0
        assert rigged.shape == (1, 3, 32, 32, 8)
        for ours, expected in (
            (rigged[:, :, 16:], alone[:, :, 16:]),
            (rigged[:, :, :16], alone.flip(2, 3)[:, :, :16]),
        ):
            torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)

    def test_two_half_images_from_one_centre_give_the_whole_images_voxels(self):
        lift = lift_splat()
        whole = rig()
        halves = []
        for first in (0.0, 48.0):
            shift = torch.eye(3)
            shift[0, 2] = -first
            halves.append({"image_transform": shift @ whole.image_transform[0, 0]})
        rigged = rig(*halves, size=(64, 48))
        depth, context = torch.rand(1, 24, 8, 12).softmax(1), torch.randn(1, 3, 8, 12)
        expected = lift.splat(depth, context, lift.index(whole, MAP))
        index = lift.index(rigged, (8, 6))
        actual = lift.splat(
            torch.cat(depth.chunk(2, dim=3)), torch.cat(context.chunk(2, dim=3)), index
        )
        assert actual.abs().sum() > 0
        torch.testing.assert_close(actual, expected)


def test_released_rounding_adds_a_layer_below_the_grid():
    cameras = rig()
    counts = {}
    for rounding in ("floor", "released"):
        lift = lift_splat(index_rounding=rounding)
        counts[rounding] = len(lift.index(cameras, MAP).cells)
    places = points(lift, cameras)
    below = lift.grid.flat_index(places, "released") >= 0
    below &= lift.grid.flat_index(places, "floor") < 0
    assert counts["released"] - counts["floor"] == below.sum() > 0


def test_best_depth_is_that_of_the_most_probable_bin():
    prob = torch.zeros(1, 24, 8, 12)
    prob[:, 0], prob[:, 2] = 0.25, 0.75
    torch.testing.assert_close(lift_splat().best_depth(prob), torch.full((1, 8, 12), 3.0))


def test_has_no_state():
    assert not lift_splat().state_dict()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"index_rounding": "round"}, "index_rounding"),
        ({"voxel_size": 0.7}, "whole number of voxels"),
        ({"depth_bins": {"start": 0.0, "stop": 5.0, "step": 1.0}}, "0 < start < stop"),
    ],
)
def test_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        lift_splat(**changes)


@pytest.mark.parametrize("pixels", ["centres", "released"])
def test_a_denser_present_is_more_cells_of_the_same(operators, pixels):
    """Twice as dense: what finer maps would give, and four times the mass."""
    cameras = rig(pixels=pixels)
    generator = torch.Generator().manual_seed(0)
    prob = torch.rand(1, 24, *MAP, generator=generator).softmax(dim=1)
    context = torch.rand(1, 3, *MAP, generator=generator)
    plain, dense = lift_splat(), lift_splat(density=2)
    found = dense.splat(prob, context, dense.index(cameras, MAP))
    finer = [
        torch.nn.functional.interpolate(
            maps, scale_factor=2, mode="bilinear", align_corners=pixels == "released"
        )
        for maps in (prob, context)
    ]
    expected = plain.splat(*finer, plain.index(cameras, (2 * MAP[0], 2 * MAP[1])))
    torch.testing.assert_close(found, expected)
    few = plain.splat(prob, context, plain.index(cameras, MAP))
    assert 3 < found.sum() / few.sum() < 5
    # Volumes are pooled at their own size.
    volume = torch.rand(1, 2, 24, *MAP, generator=generator)
    pooled = [lift.pool(volume, lift.index(cameras, MAP)) for lift in (plain, dense)]
    torch.testing.assert_close(*pooled)


def test_a_density_below_one_is_refused():
    with pytest.raises(InvalidValueError, match=r"LiftSplat\(density=0\)"):
        lift_splat(density=0)
