"""Training labels from the official voxel files or on another grid: X front, Y left, Z up."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from htcl.datasets.specification import DatasetSpecification
from htcl.errors import InvalidValueError
from htcl.geometry import VoxelGrid

# Edge of the block that one voxel of a ready label file stands for, by the name of its scale.
SCALES = {"1_1": 1, "1_2": 2, "1_8": 8}

# A block is a matter of empty against unknown if more than this share of it is either.
_UNLABELLED_SHARE = 0.95


def make_training_label(
    raw: np.ndarray,
    invalid: np.ndarray,
    specification: DatasetSpecification,
    strict: bool = True,
    source: str | Path | None = None,
) -> np.ndarray:
    """Applies the official learning map and the invalid mask; (X, Y, Z) uint8 training ids.

    Of a benchmark whose ``label_beats_mask`` is set, only voxels without a label can be invalid.

    Args:
        raw: (X, Y, Z) raw ids of a ``.label`` file.
        invalid: (X, Y, Z) bool of the ``.invalid`` file.
        specification: What the ids mean.
        strict: Refuse ids outside the learning map.
        source: File that the ids come from, for the error message.

    Raises:
        ValueError: If the shapes differ.
        InvalidValueError: If ``strict`` and an id is unknown, or see :func:`check_scored`.
    """
    if raw.shape != invalid.shape:
        raise ValueError(
            f"{source or 'labels'}: shape {raw.shape} differs from the mask's {invalid.shape}"
        )
    labels = specification.voxels_from_raw(raw, strict=strict, source=source)
    if specification.label_beats_mask:
        invalid = invalid & (raw == specification.raw_ids[specification.empty_class])
    labels[invalid] = specification.ignore_index
    check_scored(labels, specification, source)
    return labels


def check_scored(
    labels: np.ndarray, specification: DatasetSpecification, source: str | Path | None
) -> None:
    """Refuses the labels of a whole frame that say nothing: no real frame is like that.

    Args:
        labels: (X, Y, Z) uint8 training ids of the whole stored grid.
        specification: Says which id is empty, and which is not scored.
        source: File that they come from, for the error message.

    Raises:
        InvalidValueError: If every scored voxel is empty, or none is scored.
    """
    ignored = np.count_nonzero(labels == specification.ignore_index)
    empty = np.count_nonzero(labels == specification.empty_class)
    if ignored + empty == labels.size:
        what = "empty" if empty else "not scored (all invalid)"
        raise InvalidValueError(
            f"{source or 'labels'}: every voxel of the frame is {what}, expected voxels of several "
            "classes; the file (or its .invalid) lost its content: copy or make it anew"
        )


def label_window(stored: VoxelGrid, grid: VoxelGrid) -> tuple[tuple[slice, slice, slice], int]:
    """Finds a grid in the one that labels are stored on.

    Returns:
        The part of the stored array (X, Y, Z) that ``grid`` covers, and the number of stored voxels
        along an edge of its voxels.

    Raises:
        InvalidValueError: If ``grid`` is not made of whole blocks of stored voxels.
    """
    ratio = np.divide(grid.voxel_size, stored.voxel_size)
    start = np.subtract(grid.origin, stored.origin) / stored.voxel_size
    edge, first = round(ratio[0]), np.rint(start).astype(int)
    last = first + edge * np.array(grid.shape)
    whole = max(np.abs(ratio - edge).max(), np.abs(start - first).max()) < 1e-3
    if not whole or edge < 1 or first.min() < 0 or (last > stored.shape).any():
        raise InvalidValueError(
            f"the labels of {stored} cannot be turned into {grid}: give a grid of the same voxels, "
            "or of blocks of 2, 4, 8, ... of them along each edge, that begins at a corner of a "
            "stored voxel and lies inside the stored grid (key `specification.grid`)"
        )
    x, y, z = (slice(int(low), int(high)) for low, high in zip(first, last, strict=True))
    return (x, y, z), edge


def fit_labels(labels: np.ndarray, specification: DatasetSpecification) -> np.ndarray:
    """Cuts uint8 training ids of the ``stored_grid`` to the specification's ``grid``.

    They are pooled if it is coarser; see :func:`label_window` for grids that do not fit.
    """
    window, edge = label_window(specification.stored_grid, specification.grid)
    return downsample_labels(labels[window], edge, specification)


def fit_mask(mask: np.ndarray, specification: DatasetSpecification) -> np.ndarray:
    """Cuts a bool mask of the ``stored_grid`` to ``grid``: of a block, where any of it is set."""
    window, edge = label_window(specification.stored_grid, specification.grid)
    x, y, z = specification.grid.shape
    blocks = mask[window].reshape(x, edge, y, edge, z, edge)
    return np.asarray(blocks.any(axis=(1, 3, 5)))


def downsample_labels(
    labels: np.ndarray, factor: int, specification: DatasetSpecification
) -> np.ndarray:
    """Pools labels over blocks of ``factor`` voxels a side by majority.

    The rule is the one of the MonoScene family (A.-Q. Cao and R. de Charette, "MonoScene: Monocular
    3D Semantic Scene Completion", CVPR 2022), in our words: if more than 95 % of a block is empty
    or not scored, the more frequent of the two is taken (not scored if equal); otherwise the most
    frequent of the other classes in the block, the smallest if equal.

    With ``specification.pooling`` 'occupied' it is that of OpenOccupancy, whose labels are thin
    shells: a block is empty if all of it is; otherwise the most frequent of what is in it besides
    the empty class is taken, what is not scored being a class among the others, the smallest id if
    equal.

    Args:
        labels: (X, Y, Z) uint8 training ids.
        factor: Edge of a block; ValueError if it does not divide X, Y and Z.
        specification: Says which classes there are.

    Returns:
        (X / factor, Y / factor, Z / factor) uint8.
    """
    if any(size % factor for size in labels.shape):
        raise ValueError(f"label grid {labels.shape} cannot be divided into blocks of {factor}")
    if factor == 1:
        return labels.copy()
    x, y, z = (size // factor for size in labels.shape)
    blocks = labels.reshape(x, factor, y, factor, z, factor).transpose(0, 2, 4, 1, 3, 5)
    blocks = blocks.reshape(-1, factor**3)
    result = blocks[:, 0].copy()
    # Most blocks are all empty or all unknown; only the others need to be counted.
    mixed = np.flatnonzero((blocks != blocks[:, :1]).any(axis=1))
    result[mixed] = _majority(blocks[mixed], specification)
    return result.reshape(x, y, z)


def _majority(blocks: np.ndarray, specification: DatasetSpecification) -> np.ndarray:
    """Label (N,) of blocks (N, voxels) by the rule of :func:`downsample_labels`."""
    num_classes = specification.num_classes
    bins = num_classes + 1
    labels = np.where(blocks == specification.ignore_index, num_classes, blocks)
    flat = labels + bins * np.arange(len(blocks))[:, None]
    counts = np.bincount(flat.ravel(), minlength=bins * len(blocks)).reshape(-1, bins)
    empty, ignored = counts[:, specification.empty_class].copy(), counts[:, num_classes]
    counts[:, specification.empty_class] = -1
    if specification.pooling == "occupied":
        # Blocks that are empty as a whole do not come here.
        chosen = counts.argmax(axis=1)
        return np.where(chosen == num_classes, specification.ignore_index, chosen).astype(np.uint8)
    return np.where(
        empty + ignored > _UNLABELLED_SHARE * blocks.shape[1],
        np.where(empty > ignored, specification.empty_class, specification.ignore_index),
        counts[:, :num_classes].argmax(axis=1),
    ).astype(np.uint8)
