"""Label files of OpenOccupancy and Occ3D, and the formats that a data set may name.

Shape letters: X Y Z voxel, R row. ``labels`` of a sample names a ``file`` and its ``format``, a key
of :data:`LABEL_FORMATS`; a benchmark with a format of its own adds it there
(:func:`register_label_format`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from htcl.array_files import read_npy, read_npz
from htcl.datasets.label_tables import check_known
from htcl.datasets.specification import DatasetSpecification
from htcl.datasets.training_labels import check_scored
from htcl.errors import InvalidValueError, check_choice
from htcl.files import atomic_write

_REMEDY = "copy the file anew from the benchmark's download"


class VoxelTruth(NamedTuple):
    """Ground truth of a frame on the grid of the files.

    Attributes:
        labels: (X, Y, Z) uint8 training ids.
        masks: (X, Y, Z) bool by name, such as 'mask_camera'.
    """

    labels: np.ndarray
    masks: dict[str, np.ndarray]


LabelReader = Callable[[str | Path, DatasetSpecification], VoxelTruth]
LABEL_FORMATS: dict[str, LabelReader] = {}


def register_label_format(name: str) -> Callable[[LabelReader], LabelReader]:
    """Makes a reader known by the name of its format, as a decorator."""

    def register(reader: LabelReader) -> LabelReader:
        LABEL_FORMATS[name] = reader
        return reader

    return register


def read_truth(
    path: str | Path, label_format: str, specification: DatasetSpecification
) -> VoxelTruth:
    """Reads the labels of a frame in a format, a key of :data:`LABEL_FORMATS`.

    Raises:
        MissingFileError: If the file is absent.
        InvalidValueError: If the format is unknown, or the file is not what the format says.
    """
    check_choice("labels.format", label_format, tuple(LABEL_FORMATS))
    return LABEL_FORMATS[label_format](path, specification)


@register_label_format("openoccupancy")
def read_occupied_voxels(path: str | Path, specification: DatasetSpecification) -> VoxelTruth:
    """Reads a ``.npy`` of OpenOccupancy: the occupied voxels alone, a row each.

    A row (R, 4) is z, y, x, class; further numbers before the class, as in the variant with
    velocities (R, 7), are left aside. What no row names is empty. Of several rows of one voxel the
    most frequent class holds, the smallest id if equal, the id of what is not scored too.

    Raises:
        MissingFileError: If the file is absent.
        InvalidValueError: If it is no such array, a voxel lies outside the grid, a class is
            unknown, or nothing is occupied; file and row are named.
    """
    rows = read_npy(path, "occupancy label", _REMEDY)
    if rows.ndim != 2 or rows.shape[1] not in (4, 7) or rows.dtype.kind not in "iu":
        raise InvalidValueError(
            f"{path}: occupancy label is {rows.dtype} {rows.shape}, expected integers (R, 4) of "
            f"z, y, x, class, or (R, 7) with velocities; {_REMEDY}"
        )
    shape, classes = specification.stored_grid.shape, rows[:, -1]
    index = rows[:, 2::-1]
    outside = np.flatnonzero(((index < 0) | (index >= shape)).any(axis=1))
    if len(outside):
        z, y, x = rows[outside[0], :3]
        raise InvalidValueError(
            f"{path}: {len(outside)} of {len(rows)} voxels lie outside the grid, the first is row "
            f"{outside[0]} with z, y, x = {z}, {y}, {x}, expected less than {shape[::-1]}; the "
            "labels are of another grid or damaged"
        )
    free = specification.raw_ids[specification.empty_class]
    known = sorted(set(specification.voxel_map) - {free})
    if len(rows) and (classes.min() < 0 or classes.max() >= 1 << 16):
        raise InvalidValueError(
            f"{path}: classes from {classes.min()} to {classes.max()}, expected {known}; {_REMEDY}"
        )
    raw = classes.astype(np.uint16)
    check_known(raw, known, "class", specification.name, path)
    labels = np.full(shape, specification.empty_class, dtype=np.uint8)
    flat = np.ravel_multi_index(tuple(index.T.astype(np.int64)), shape)
    place, chosen = _by_majority(flat, specification.voxels_from_raw(raw))
    labels.reshape(-1)[place] = chosen
    check_scored(labels, specification, path)
    return VoxelTruth(labels, {})


def _by_majority(voxels: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each voxel once, with its most frequent class, the smallest if equal."""
    pairs, counts = np.unique(voxels * 256 + classes, return_counts=True)
    voxels, classes = pairs // 256, pairs % 256
    order = np.lexsort((classes, -counts, voxels))
    first = np.ones(len(order), dtype=bool)
    first[1:] = np.diff(voxels[order]) != 0
    return voxels[order][first], classes[order][first].astype(np.uint8)


def write_occupied_voxels(
    path: str | Path, labels: np.ndarray, specification: DatasetSpecification
) -> None:
    """Writes training ids (X, Y, Z) uint8 as a file of OpenOccupancy, int32, atomically.

    What is not scored gets the raw id of noise.
    """
    noise = next(
        raw for raw, new in specification.voxel_map.items() if new == specification.ignore_index
    )
    index = np.argwhere(labels != specification.empty_class)
    found = labels[tuple(index.T)]
    scored = found != specification.ignore_index
    classes = np.full(len(found), noise, dtype=np.int32)
    classes[scored] = specification.raw_from_voxels(found[scored])
    with atomic_write(path) as file:
        np.save(file, np.column_stack([index[:, ::-1], classes]).astype("<i4"))


_OCC3D_ARRAYS = ("semantics", "mask_lidar", "mask_camera")


@register_label_format("occ3d")
def read_occ3d(path: str | Path, specification: DatasetSpecification) -> VoxelTruth:
    """Reads a ``labels.npz`` of Occ3D: dense classes, and what lidar and cameras see.

    Returns:
        Labels, and the masks ``mask_lidar`` and ``mask_camera``.

    Raises:
        MissingFileError: If the file is absent.
        InvalidValueError: If an array is missing, or of another shape or type than (X, Y, Z) uint8,
            a class is unknown, a mask holds other than 0 and 1, or nothing is in view.
    """
    arrays = read_npz(path, "occupancy label", _REMEDY)
    absent = [name for name in _OCC3D_ARRAYS if name not in arrays]
    if absent:
        raise InvalidValueError(
            f"{path}: no array {' and '.join(absent)}, found {sorted(arrays)}; {_REMEDY}"
        )
    shape = specification.stored_grid.shape
    for name in _OCC3D_ARRAYS:
        array = arrays[name]
        if array.shape != shape or array.dtype not in (np.uint8, np.bool_):
            raise InvalidValueError(
                f"{path}: {name} is {array.dtype} {array.shape}, expected uint8 {shape} (x, y, z); "
                f"{_REMEDY}"
            )
    masks = {}
    for name in _OCC3D_ARRAYS[1:]:
        largest = int(arrays[name].max())
        if largest != 1:
            raise InvalidValueError(
                f"{path}: {name} holds values up to {largest}, expected 0 and 1, some of them 1; "
                f"{_REMEDY}"
            )
        masks[name] = arrays[name].astype(bool)
    raw = arrays["semantics"].astype(np.uint16)
    labels = specification.voxels_from_raw(raw, strict=True, source=path)
    check_scored(labels, specification, path)
    return VoxelTruth(labels, masks)


def write_occ3d(
    path: str | Path,
    labels: np.ndarray,
    masks: dict[str, np.ndarray],
    specification: DatasetSpecification,
) -> None:
    """Writes training ids (X, Y, Z) uint8 and masks as a ``labels.npz`` of Occ3D, atomically."""
    arrays = {"semantics": specification.raw_from_voxels(labels).astype(np.uint8)}
    arrays |= {name: masks[name].astype(np.uint8) for name in _OCC3D_ARRAYS[1:]}
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with atomic_write(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
