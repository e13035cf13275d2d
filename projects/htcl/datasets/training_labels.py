"""Training labels from the official voxel files, at full and at coarser resolution.

Shape letters: X front, Y left, Z up (voxels).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from htcl.datasets.labels import IGNORE_INDEX, NUM_CLASSES, raw_to_train

# Edge of the block that one voxel of a scale stands for.
SCALES = {"1_1": 1, "1_2": 2, "1_8": 8}

# A block is a matter of empty against unknown if more than this share of it is either.
_UNLABELLED_SHARE = 0.95


def make_training_label(
    raw: np.ndarray, invalid: np.ndarray, strict: bool = True, source: str | Path | None = None
) -> np.ndarray:
    """Applies the official learning map and the invalid mask.

    Args:
        raw: (X, Y, Z) raw ids of a ``.label`` file.
        invalid: (X, Y, Z) bool of the ``.invalid`` file.
        strict: Refuse ids outside the learning map.
        source: File that the ids come from, for the error message.

    Returns:
        (X, Y, Z) uint8: 0 empty, 1-19 classes, 255 not scored.

    Raises:
        ValueError: If the shapes differ, or if ``strict`` and an id is unknown.
    """
    if raw.shape != invalid.shape:
        raise ValueError(
            f"{source or 'labels'}: shape {raw.shape} differs from the mask's {invalid.shape}"
        )
    labels = raw_to_train(raw, strict=strict, source=source)
    labels[invalid] = IGNORE_INDEX
    return labels


def downsample_labels(labels: np.ndarray, factor: int) -> np.ndarray:
    """Pools labels over blocks of ``factor`` voxels a side by majority.

    The rule is the one of the MonoScene family (A.-Q. Cao and R. de Charette, "MonoScene: Monocular
    3D Semantic Scene Completion", CVPR 2022), in our words: if more than 95 % of a block is empty
    or not scored, the more frequent of the two is taken (255 if equal); otherwise the most frequent
    of the classes 1-19 in the block, the smallest if equal.

    Args:
        labels: (X, Y, Z) uint8 training ids.
        factor: Edge of a block; must divide X, Y and Z.

    Returns:
        (X / factor, Y / factor, Z / factor) uint8.

    Raises:
        ValueError: If a size is not a multiple of the factor.
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
    result[mixed] = _majority(blocks[mixed])
    return result.reshape(x, y, z)


def _majority(blocks: np.ndarray) -> np.ndarray:
    """Label (N,) of blocks (N, voxels) by the rule of :func:`downsample_labels`."""
    bins = NUM_CLASSES + 1
    labels = np.where(blocks == IGNORE_INDEX, NUM_CLASSES, blocks)
    flat = labels + bins * np.arange(len(blocks))[:, None]
    counts = np.bincount(flat.ravel(), minlength=bins * len(blocks)).reshape(-1, bins)
    empty, ignored = counts[:, 0], counts[:, NUM_CLASSES]
    unlabelled = empty + ignored > _UNLABELLED_SHARE * blocks.shape[1]
    return np.where(
        unlabelled,
        np.where(empty > ignored, 0, IGNORE_INDEX),
        1 + counts[:, 1:NUM_CLASSES].argmax(axis=1),
    ).astype(np.uint8)
