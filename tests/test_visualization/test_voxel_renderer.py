from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from street_scene import GRID, IMAGE, INTRINSICS, LIDAR_FROM_CAMERA, ORIGIN, SIZE, street

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.geometry import field_of_view
from htcl.visualization.views import camera_view, chase_view, top_view
from htcl.visualization.voxel_renderer import BACKGROUND, VoxelRenderer

PALETTE = SEMANTICKITTI.colours
CAMERA = camera_view(INTRINSICS, LIDAR_FROM_CAMERA, IMAGE, IMAGE)


def hue(colour):
    """Direction of a colour without its brightness."""
    colour = np.asarray(colour, dtype=np.float64)
    return colour / np.linalg.norm(colour)


def test_a_voxel_appears_where_its_centre_projects():
    labels = np.zeros((16, 16, 8), dtype=np.uint8)
    labels[7, 9, 2] = 1
    centre = ORIGIN + (np.array([7, 9, 2]) + 0.5) * SIZE
    homogeneous = INTRINSICS @ np.linalg.inv(LIDAR_FROM_CAMERA) @ np.append(centre, 1.0)
    u, v = homogeneous[:2] / homogeneous[2]
    picture = VoxelRenderer(labels, GRID, PALETTE).render(CAMERA, stage=False, fade=False)

    drawn = (picture != BACKGROUND.astype(np.uint8)).any(axis=2)
    rows, columns = np.nonzero(drawn)
    # The nearest corners of the cell spread about its centre.
    np.testing.assert_allclose((rows.mean(), columns.mean()), (v, u), atol=1.5)
    side = 90 * SIZE / (homogeneous[2] - SIZE / 2)
    np.testing.assert_allclose(drawn.sum(), side**2, rtol=0.2)
    np.testing.assert_allclose(hue(picture[round(v), round(u)]), hue(PALETTE[1]), atol=0.02)


def test_the_nearer_voxel_hides_the_farther_one():
    labels = np.zeros((16, 16, 8), dtype=np.uint8)
    labels[5, 4:12, :] = 13
    labels[10, 7, 2] = 1
    picture = VoxelRenderer(labels, GRID, PALETTE).render(CAMERA, stage=False, fade=False)
    drawn = picture[(picture != BACKGROUND.astype(np.uint8)).any(axis=2)]
    # Yellow walls have no blue in them.
    assert drawn[:, 2].max() < 5


def test_empty_grid_is_background():
    renderer = VoxelRenderer(np.zeros((16, 16, 8), np.uint8), GRID, PALETTE)
    picture = renderer.render(CAMERA, stage=False)
    assert picture.dtype == np.uint8
    assert (picture == BACKGROUND).all()
    # With its stage, even an empty grid shows where it is.
    assert not (renderer.render(chase_view(GRID, (60, 80))) == BACKGROUND).all()


def test_voxels_out_of_view_are_darker_and_greyer():
    shape = (16, 16, 8)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[:, :, 0] = 9
    in_view = np.zeros(shape, dtype=bool)
    in_view[8:] = True
    renderer = VoxelRenderer(labels, GRID, PALETTE, in_view)
    view = top_view(GRID, (72, 64))
    picture = renderer.render(view, stage=False, fade=False).astype(int)
    far, near = picture[8:24, 8:56].reshape(-1, 3), picture[40:56, 8:56].reshape(-1, 3)
    assert near.mean() < 0.8 * far.mean()
    saturation = [np.ptp(np.median(half, axis=0)) / np.median(half) for half in (near, far)]
    assert saturation[0] < saturation[1]


def test_the_car_is_drawn_at_the_origin():
    renderer = VoxelRenderer(np.zeros((16, 16, 8), np.uint8), GRID, PALETTE)
    view = top_view(GRID, (178, 128))
    picture = renderer.render(view, fade=False).astype(int)
    behind = picture[view.rays[:, 0, 0] < -0.2]  # rows behind the grid
    rows, columns = np.nonzero(behind.max(axis=2) < 180)
    assert len(rows) > 50
    np.testing.assert_allclose(columns.mean(), 63.5, atol=1)


def test_a_label_without_colour_and_a_wrong_mask_are_errors():
    with pytest.raises(ValueError, match="label 15 has no colour: the palette has 10"):
        VoxelRenderer(street(), GRID, PALETTE[:10])
    with pytest.raises(ValueError, match=r"mask has shape \(2, 2, 2\)"):
        VoxelRenderer(street(), GRID, PALETTE, np.ones((2, 2, 2), bool))


def test_in_view_voxels_of_the_camera_fill_its_picture():
    """The mask and the picture agree: hardly anything that the camera sees is marked unseen."""
    labels = street()
    mask = field_of_view(GRID, INTRINSICS[None], LIDAR_FROM_CAMERA[None], IMAGE)
    seen = VoxelRenderer(np.where(mask, labels, 0), GRID, PALETTE).render(CAMERA, False)
    every = VoxelRenderer(labels, GRID, PALETTE).render(CAMERA, False)
    changed = (seen != every).any(axis=2)
    # Only voxels that the image border cuts are drawn although their centre lies outside.
    assert changed[5:-25, 15:-15].mean() < 0.02


def test_a_line_runs_along_the_border_of_the_field_of_view():
    shape = (16, 16, 8)
    labels, in_view = np.zeros(shape, np.uint8), np.zeros(shape, bool)
    labels[:, :8, 0] = 9  # voxels at one side, bare floor at the other
    in_view[8:] = True
    in_view[4:, :, 3:] = True  # nearer only high above the road
    view = partial(top_view, GRID)
    picture = VoxelRenderer(labels, GRID, PALETTE, in_view).render_smooth(view, (356, 256))
    border = ORIGIN[0] + 8 * SIZE
    rows = view((356, 256)).rays[:, 0, 0]
    on, rim = np.abs(rows - border).argmin(), np.abs(rows - border - 0.08).argmin()
    for side in (picture[:, 40:60], picture[:, 200:220]):
        assert side[on].min() > 200 and side[rim].max() < 140
        # At the border of what is in view only higher up, there is none.
        above = side[np.abs(rows - (ORIGIN[0] + 4 * SIZE)) < 0.2].astype(int)
        assert np.ptp(above.mean(axis=(1, 2))) < 30
    everything = VoxelRenderer(labels, GRID, PALETTE).render_smooth(view, (356, 256))
    # Without border the floor is plain there.
    assert (everything[on, 40:60] == everything[on - 10, 40:60]).all()
