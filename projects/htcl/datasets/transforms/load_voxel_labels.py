"""Loads the voxel ground truth (X front, Y left, Z up)."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from mmengine.registry import TRANSFORMS

from htcl.array_files import read_npy, read_npz
from htcl.datasets.occupancy_files import read_truth
from htcl.datasets.specification import DatasetSpecification
from htcl.datasets.training_labels import (
    SCALES,
    check_scored,
    fit_labels,
    fit_mask,
    label_window,
    make_training_label,
)
from htcl.datasets.transforms.step import Step
from htcl.datasets.voxel_files import read_voxel_labels, read_voxel_mask
from htcl.errors import InvalidValueError, MissingFileError


@TRANSFORMS.register_module()
class LoadVoxelLabels(Step):
    """Reads training labels made by ``process_kitti.sh``, or makes them on the way.

    Files of other programs, whose ids may be floating-point numbers, are read too.

    Labels are stored on the grid ``specification.stored_grid``, ready ones at coarser scales too.
    They are cut and pooled to ``specification.grid``; a ready file of that grid is taken as it is
    if it has the specification's classes (merged classes have other majorities). In the place of a
    ready ``.npy`` there may be a compressed ``.npz`` with the array ``labels``, much smaller on
    disk. Does nothing unless ``with_labels`` of the sample is set.

    Required Keys: specification; labels with the paths ``ready`` (by scale) and, in their place,
    ``raw`` and ``invalid``; or a ``file`` and its ``format``
    (:data:`~htcl.datasets.occupancy_files.LABEL_FORMATS`).

    Optional Keys: with_labels.

    Added Keys:
        voxel_labels: (X, Y, Z) uint8 training ids on the grid of the specification.
        voxel_masks: (X, Y, Z) bool by name, if the files have some; a voxel that is a block of
            stored ones is in a mask if any of them is.

    Raises:
        MissingFileError: If the files are absent.
        InvalidValueError: If a file has the wrong size, type or an unknown label id, or the grid
            cannot be made of the stored one.
    """

    def required_files(self, results: dict[str, Any]) -> list[tuple[str, ...]]:
        """Names the files that a sample needs, each as a tuple of alternatives."""
        if not results.get("with_labels"):
            return []
        ready = tuple(path for path, _ in ready_files(results))
        labels = results["labels"]
        if "file" in labels:
            return [(labels["file"],)]
        official = [labels[key] for key in ("raw", "invalid") if labels.get(key)]
        return [(*ready, path) for path in official] or [ready]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Adds the labels."""
        if not results.get("with_labels"):
            return results
        specification: DatasetSpecification = results["specification"]
        labels = results["labels"]
        if "file" in labels:
            truth = read_truth(labels["file"], labels["format"], specification)
            results["voxel_labels"] = fit_labels(truth.labels, specification)
            masks = {name: fit_mask(mask, specification) for name, mask in truth.masks.items()}
            if masks:
                results["voxel_masks"] = masks
            return results
        ready = ready_files(results)
        for path, scale in ready:
            # A link that leads nowhere is a fault, not a file that nobody made.
            if os.path.lexists(path):
                results["voxel_labels"] = read_ready(path, scale, specification)
                return results
        raw_path, invalid_path = (results["labels"].get(key) for key in ("raw", "invalid"))
        if raw_path is None or invalid_path is None:
            raise MissingFileError(
                f"{ready[-1][0]}: training label not found; make it with `bash process_kitti.sh`"
            )
        shape = specification.stored_grid.shape
        raw, invalid = read_voxel_labels(raw_path, shape), read_voxel_mask(invalid_path, shape)
        labels = make_training_label(raw, invalid, specification, source=raw_path)
        results["voxel_labels"] = fit_labels(labels, specification)
        return results


def ready_files(results: dict[str, Any]) -> list[tuple[str, str]]:
    """Ready files that would do for a sample, best first, with their scales."""
    specification: DatasetSpecification = results["specification"]
    stored = specification.stored_grid
    _, edge = label_window(stored, specification.grid)
    whole = all(edge * n == m for n, m in zip(specification.grid.shape, stored.shape, strict=True))
    same_classes = specification.stored_ids == specification.raw_ids
    paths: dict[str, str] = results["labels"].get("ready", {})
    usable = [
        (paths[scale], scale)
        for scale, factor in sorted(SCALES.items(), reverse=True)
        if scale in paths and (factor == 1 or (factor == edge and whole and same_classes))
    ]
    packed = [(os.path.splitext(path)[0] + ".npz", scale) for path, scale in usable]
    return [file for pair in zip(packed, usable, strict=True) for file in pair]


def read_ready(path: str, scale: str, specification: DatasetSpecification) -> np.ndarray:
    """Reads a ready label of a scale, a key of ``SCALES``, cut to the specification's grid.

    Returns:
        (X, Y, Z) uint8 training ids.

    Raises:
        MissingFileError: If the file is absent.
        InvalidValueError: If it is damaged, of another shape or type, or holds no class.
    """
    what, remedy = "training label", "make it anew with `bash process_kitti.sh`"
    if path.endswith(".npz"):
        arrays = read_npz(path, what, remedy)
        if set(arrays) != {"labels"}:
            raise InvalidValueError(
                f"{path}: {what} holds {sorted(arrays)}, expected the array 'labels'; {remedy}"
            )
        labels = arrays["labels"]
    else:
        labels = read_npy(path, what, remedy)
    shape = tuple(size // SCALES[scale] for size in specification.stored_grid.shape)
    if labels.dtype.kind in "fiu" and labels.dtype != np.uint8:
        with np.errstate(invalid="ignore"):
            whole = labels.astype(np.uint8)
        labels = whole if np.array_equal(whole, labels) else labels
    if labels.shape != shape or labels.dtype != np.uint8:
        raise InvalidValueError(
            f"{path}: training label is {labels.dtype} {labels.shape}, expected uint8 {shape} "
            f"(other numbers only if all are whole and in 0..255); {remedy}"
        )
    labels = specification.voxels_from_stored(labels, source=path)
    check_scored(labels, specification, path)
    return fit_labels(labels, specification) if SCALES[scale] == 1 else labels
