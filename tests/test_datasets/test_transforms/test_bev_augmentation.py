from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.transforms import BEVAugmentation
from htcl.errors import InvalidValueError
from htcl.geometry import Camera

GRID = SEMANTICKITTI.grid


def rig() -> Camera:
    eye = torch.eye(4).repeat(2, 1, 1)
    return Camera(eye, eye, torch.eye(3).repeat(2, 1, 1), eye, (4, 4))


def matrix_of(results: dict) -> np.ndarray:
    """The one map of all cameras."""
    matrices = results["cameras"].augmentation
    assert torch.equal(matrices[0], matrices[1])
    assert torch.equal(matrices, results["history_cameras"].augmentation)
    return matrices[0].numpy()


def scene(num_points: int = 4000) -> dict:
    """Blocks of 2 m with one class each, and points strictly inside voxels with their labels."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 20, (26, 26, 4), dtype=np.uint8)
    labels = coarse.repeat(10, 0).repeat(10, 1).repeat(8, 2)[:256, :256]
    voxel = np.column_stack([rng.integers(0, size, num_points) for size in GRID.shape])
    points = (voxel + rng.uniform(0.2, 0.8, voxel.shape)) * 0.2 + GRID.origin
    return {
        "specification": SEMANTICKITTI,
        "cameras": rig(),
        "history_cameras": rig(),
        "voxel_labels": labels,
        "points": points.astype(np.float32),
        "point_labels": labels[tuple(voxel.T)].astype(np.int64),
        "point_uvd": np.stack([np.column_stack([np.arange(num_points)] * 3)] * 2).astype(
            np.float32
        ),
    }


def run(**kwargs) -> tuple[dict, dict]:
    before = scene()
    return before, BEVAugmentation(**kwargs).transform(dict(before))


def test_flip_y_mirrors_the_array():
    before, after = run(flip_y_prob=1.0)
    np.testing.assert_array_equal(after["voxel_labels"], before["voxel_labels"][:, ::-1])
    np.testing.assert_allclose(after["points"][:, 1], -before["points"][:, 1], atol=1e-6)
    np.testing.assert_allclose(matrix_of(after), np.diag([1, -1, 1, 1]), atol=1e-6)


def test_flip_x_is_about_the_middle_of_the_grid():
    before, after = run(flip_x_prob=1.0, flip_y_prob=0.0)
    np.testing.assert_array_equal(after["voxel_labels"], before["voxel_labels"][::-1])
    np.testing.assert_allclose(after["points"][:, 0], 51.2 - before["points"][:, 0], atol=1e-5)


def test_quarter_turn_equals_rot90():
    before, after = run(flip_y_prob=0.0, rotation=(90.0, 90.0))
    # Counter-clockwise: what was in front (x) comes to the left (y).
    expected = np.rot90(before["voxel_labels"], k=1, axes=(0, 1))
    np.testing.assert_array_equal(after["voxel_labels"], expected)


@pytest.mark.parametrize("centre", ["grid", "sensor", (10.0, 2.0, -1.0)])
def test_points_stay_in_voxels_of_their_label(centre):
    before, after = run(flip_y_prob=1.0, rotation=(17.0, 17.0), scale=(1.05, 1.05), centre=centre)
    inside, index = GRID.indices(after["points"])
    assert inside.all() and 1000 < len(index) < len(before["points"])
    found = after["voxel_labels"][tuple(index.T)]
    # Nearest resampling errs only at block borders: one voxel in a block of 10 x 10 x 8.
    assert (found == after["point_labels"]).mean() > 0.85
    # The matrix, the labels and the points tell the same story.
    kept = after["point_uvd"][1, :, 0].astype(int)
    matrix = matrix_of(after).astype(np.float64)
    moved = before["points"][kept] @ matrix[:3, :3].T + matrix[:3, 3]
    np.testing.assert_allclose(after["points"], moved, atol=1e-4)
    np.testing.assert_array_equal(after["point_labels"], before["point_labels"][kept])


def test_voxels_without_origin_are_not_scored():
    _, after = run(flip_y_prob=0.0, rotation=(20.0, 20.0))
    assert after["voxel_labels"][0, 0, 0] == 255
    assert after["voxel_labels"][128, 128, 16] != 255
    _, after = run(flip_y_prob=0.0, scale=(0.9, 0.9))
    # z = 4.3 m comes from 4.78 m, above the grid's 4.4 m.
    assert (after["voxel_labels"][:, :, 31] == 255).all()


def test_inputs_are_not_changed_and_no_draw_changes_nothing():
    before = scene()
    copies = {key: v.copy() for key, v in before.items() if isinstance(v, np.ndarray)}
    BEVAugmentation(flip_x_prob=1, rotation=(5, 5)).transform(dict(before))
    for key, value in copies.items():
        np.testing.assert_array_equal(before[key], value)
    np.testing.assert_array_equal(matrix_of(before), np.eye(4))
    after = BEVAugmentation(flip_y_prob=0.0).transform(dict(before))
    assert all(after[key] is before[key] for key in before)


def test_what_belongs_to_pixels_stays():
    """The cameras say where a pixel's scene is now; its image and its depth are the same."""
    keys = ("images", "right", "history", "history_right", "depth_prior", "history_depth_prior")
    pixels = {key: np.arange(24.0).reshape(2, 3, 4) for key in keys}
    step = BEVAugmentation(flip_x_prob=1.0, flip_y_prob=1.0, rotation=(9.0, 9.0), scale=(1.1, 1.1))
    after = step.transform(scene() | pixels)
    assert all(after[key] is pixels[key] for key in keys)
    np.testing.assert_array_equal(pixels["depth_prior"], np.arange(24.0).reshape(2, 3, 4))


def test_matrices_compose():
    step = BEVAugmentation(flip_y_prob=0.0, rotation=(10.0, 10.0))
    results = {key: scene()[key] for key in ("specification", "cameras", "history_cameras")}
    twice = matrix_of(step.transform(step.transform(results)))
    expected = step.matrix(GRID, False, False, 20.0, 1.0)
    np.testing.assert_allclose(twice, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"flip_x_prob": 2}, "flip_x_prob"),
        ({"scale": (0, 1)}, "scale above 0"),
        ({"centre": "middle"}, "centre"),
        ({"centre": "sensor", "flip_x_prob": 0.5}, "empty grid"),
    ],
)
def test_arguments_are_checked(kwargs: dict, message: str):
    with pytest.raises(InvalidValueError, match=message):
        BEVAugmentation(**kwargs)


def test_other_grid_size_is_reported():
    step = BEVAugmentation(flip_y_prob=1.0)
    results = scene() | {"voxel_labels": np.zeros((128, 128, 16), dtype=np.uint8)}
    with pytest.raises(ValueError, match=r"\(128, 128, 16\).*\(256, 256, 32\)"):
        step.transform(results)


def test_follows_the_grid_of_the_specification():
    half = replace(SEMANTICKITTI, grid=GRID.resized(0.4))
    labels = np.random.default_rng(0).integers(0, 20, half.grid.shape).astype(np.uint8)
    results = scene() | {"specification": half, "voxel_labels": labels}
    after = BEVAugmentation(flip_y_prob=1.0).transform(results)
    np.testing.assert_array_equal(after["voxel_labels"], labels[:, ::-1])
