"""Label files of OpenOccupancy and Occ3D: what comes back, the rules, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from htcl.datasets.occ3d_specification import OCC3D
from htcl.datasets.occupancy_files import (
    read_occ3d,
    read_occupied_voxels,
    read_truth,
    write_occ3d,
    write_occupied_voxels,
)
from htcl.datasets.openoccupancy_specification import OPENOCCUPANCY
from htcl.datasets.training_labels import downsample_labels, fit_labels, fit_mask
from htcl.errors import InvalidValueError, MissingFileError
from htcl.geometry import VoxelGrid


def save(path, rows, dtype=np.int32):
    np.save(path, np.array(rows, dtype=dtype))
    return path


def test_rows_are_z_y_x_class(tmp_path):
    """Any integers, with or without velocities; 0 is noise, what is not listed is empty."""
    short = save(tmp_path / "a.npy", [[1, 2, 3, 4], [39, 511, 510, 16], [0, 0, 0, 0]])
    long = save(
        tmp_path / "b.npy",
        [[1, 2, 3, 7, 7, 7, 4], [39, 511, 510, 0, 0, 0, 16], [0, 0, 0, 9, 9, 9, 0]],
        np.int64,
    )
    for path in (short, long):
        labels = read_occupied_voxels(path, OPENOCCUPANCY).labels
        assert (labels.shape, labels.dtype) == ((512, 512, 40), np.uint8)
        assert (labels[3, 2, 1], labels[510, 511, 39], labels[0, 0, 0]) == (4, 16, 255)
        assert np.count_nonzero(labels) == 3


def test_majority_of_rows(tmp_path):
    """Two of class 7 against one of 3; 3 and 7 alike are 3; noise takes part."""
    rows = [[0, 0, 0, 7], [0, 0, 0, 3], [0, 0, 0, 7], [0, 0, 1, 7], [0, 0, 1, 3]]
    rows += [[0, 0, 2, 0], [0, 0, 2, 0], [0, 0, 2, 5]]
    labels = read_occupied_voxels(save(tmp_path / "a.npy", rows), OPENOCCUPANCY).labels
    assert labels[:3, 0, 0].tolist() == [7, 3, 255]


def test_dense_labels_come_back(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 0, 0, 1, 11, 16, 255], (512, 512, 40)).astype(np.uint8)
    write_occupied_voxels(tmp_path / "a.npy", labels, OPENOCCUPANCY)
    stored = np.load(tmp_path / "a.npy")
    assert (stored.dtype, len(stored)) == (np.int32, np.count_nonzero(labels))
    assert (read_truth(tmp_path / "a.npy", "openoccupancy", OPENOCCUPANCY).labels == labels).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0, 0, 0, 4], [40, 1, 2, 4]], r"1 of 2 voxels lie outside .* row 1 with z, y, x = 40, 1"),
        ([[0, 0, -1, 4]], "row 0 with z, y, x = 0, 0, -1, expected less than .40, 512, 512."),
        ([[0, 0, 0, 18]], "unknown class.*18"),
        # Free space is never listed.
        ([[0, 0, 0, 17]], "unknown class.*17"),
        ([[0, 0, 0, -3]], "classes from -3 to -3"),
        ([[0, 0, 4]], r"is int32 \(1, 3\), expected integers \(R, 4\)"),
        (np.zeros((0, 4)), "every voxel of the frame is empty"),
    ],
)
def test_wrong_rows(tmp_path, rows, message):
    path = save(tmp_path / "a.npy", rows)
    with pytest.raises(InvalidValueError, match=message) as error:
        read_occupied_voxels(path, OPENOCCUPANCY)
    assert str(path) in str(error.value)


def test_other_files(tmp_path):
    with pytest.raises(MissingFileError):
        read_occupied_voxels(tmp_path / "a.npy", OPENOCCUPANCY)
    with pytest.raises(InvalidValueError, match="float64"):
        read_occupied_voxels(save(tmp_path / "a.npy", [[0, 0, 0, 4]], float), OPENOCCUPANCY)
    with pytest.raises(InvalidValueError, match=r"labels\.format='other' is unknown"):
        read_truth(tmp_path / "a.npy", "other", OPENOCCUPANCY)


@pytest.fixture
def dense():
    """Labels and masks of Occ3D."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 18, OCC3D.grid.shape).astype(np.uint8)
    masks = {name: rng.random(labels.shape) < 0.4 for name in ("mask_camera", "mask_lidar")}
    return labels, masks


def test_occ3d_comes_back(tmp_path, dense):
    path = tmp_path / "scene-0001" / "token" / "labels.npz"
    write_occ3d(path, *dense, OCC3D)
    assert {name: array.dtype for name, array in np.load(path).items()} == dict.fromkeys(
        ("semantics", "mask_lidar", "mask_camera"), np.uint8
    )
    labels, masks = read_occ3d(path, OCC3D)
    assert (labels == dense[0]).all()
    for name, mask in dense[1].items():
        assert (masks[name] == mask).all()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("mask_camera", lambda a: a[:, :, :8], r"mask_camera is uint8 \(200, 200, 8\)"),
        ("mask_lidar", lambda a: a * 2, "mask_lidar holds values up to 2"),
        ("mask_camera", lambda a: a * 0, "mask_camera holds values up to 0"),
        ("semantics", lambda a: a.astype(float), "semantics is float64"),
        ("semantics", lambda a: a + 1, "unknown raw label id.*18"),
        ("semantics", lambda a: a * 0 + 17, "every voxel of the frame is empty"),
        ("mask_lidar", None, "no array mask_lidar, found"),
    ],
)
def test_wrong_occ3d(tmp_path, dense, name, change, message):
    path = tmp_path / "labels.npz"
    write_occ3d(path, *dense, OCC3D)
    arrays = dict(np.load(path))
    changed = arrays.pop(name)
    if change is not None:
        arrays[name] = change(changed)
    np.savez(path, **arrays)
    with pytest.raises(InvalidValueError, match=message) as error:
        read_occ3d(path, OCC3D)
    assert str(path) in str(error.value)


def test_blocks_of_openoccupancy(tmp_path):
    """One occupied voxel of 64 decides its block; 255 is a class; ties to the smaller."""
    labels = np.zeros((16, 4, 4), dtype=np.uint8)
    labels[4, 0, 0] = 9
    labels[8, 0, :3] = (5, 255, 255)
    labels[12, 0, :4] = (7, 7, 3, 3)
    assert downsample_labels(labels, 4, OPENOCCUPANCY)[:, 0, 0].tolist() == [0, 9, 255, 3]
    # By the rule of the others, a block of more than 95 % empty is empty.
    majority = replace(OPENOCCUPANCY, pooling="majority")
    assert downsample_labels(labels, 4, majority)[:, 0, 0].tolist() == [0, 0, 0, 3]


def test_blocks_of_openoccupancy_against_a_count():
    rng = np.random.default_rng(2)
    labels = rng.choice([0, 0, 0, 0, 0, 2, 6, 255], (8, 8, 8)).astype(np.uint8)
    labels[:4, :4, :4] = 0
    pooled = downsample_labels(labels, 4, OPENOCCUPANCY)
    for x, y, z in np.ndindex(2, 2, 2):
        block = labels[4 * x : 4 * x + 4, 4 * y : 4 * y + 4, 4 * z : 4 * z + 4].ravel()
        counts = np.bincount(block, minlength=256)[1:]
        assert pooled[x, y, z] == (1 + counts.argmax() if counts.any() else 0)


def test_masks_of_coarser_grids():
    """A block is seen where any of it is; labels and masks are cut alike."""
    grid = VoxelGrid.from_range((-8.0, -40.0, -1.0, 40.0, 40.0, 5.4), 0.8)
    specification = replace(OCC3D, grid=grid)
    mask = np.zeros(OCC3D.grid.shape, dtype=bool)
    mask[0, 0, 0] = mask[81, 5, 3] = True
    fitted = fit_mask(mask, specification)
    assert fitted.shape == fit_labels(mask.astype(np.uint8), specification).shape == grid.shape
    # Stored voxels 80 and 81 are the first of the 60 that remain.
    assert np.argwhere(fitted).tolist() == [[0, 2, 1]]
