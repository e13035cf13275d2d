"""Confusion matrix of semantic scene completion, and the benchmark's scores.

The definitions are those of SemanticKITTI's completion task (Behley et al., "SemanticKITTI: A
Dataset for Semantic Scene Understanding of LiDAR Sequences", ICCV 2019): one matrix over the whole
split, rows predicted, columns true. Shape letters: K class, X Y Z voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from htcl.datasets.specification import DatasetSpecification
from htcl.errors import InvalidValueError
from htcl.geometry import VoxelGrid


@dataclass(frozen=True)
class SSCScores:
    """Scores of one confusion matrix, each 0 to 1; 0 where the definition divides 0 by 0.

    Attributes:
        completion_iou: IoU of "occupied", whatever the class.
        precision: Share of the predicted occupied voxels that are occupied.
        recall: Share of the occupied voxels that are predicted occupied.
        class_iou: IoU of each class (K,).
        mean_iou: Mean of ``class_iou`` over all classes but the empty one. A class that is neither
            predicted nor present counts as 0, as in the benchmark.
    """

    completion_iou: float
    precision: float
    recall: float
    class_iou: np.ndarray
    mean_iou: float


def confusion_matrix(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int
) -> Tensor:
    """Counts (predicted, true) pairs over the scored voxels.

    Args:
        prediction: Predicted class of each voxel, any integer dtype and shape.
        target: True class, same shape.
        num_classes: K.
        ignore_index: Target value of voxels that are not scored.

    Returns:
        (K, K) int64, rows predicted, columns true, on the device of ``prediction``.

    Raises:
        InvalidValueError: If the shapes differ, or a scored voxel has a class outside 0..K-1.
    """
    if prediction.shape != target.shape:
        raise InvalidValueError(
            f"prediction {tuple(prediction.shape)} and ground truth {tuple(target.shape)} have "
            "different shapes; predict on the grid of the labels"
        )
    scored = target != ignore_index
    predicted, true = prediction[scored].long(), target[scored].long()
    for name, values in (("prediction", predicted), ("ground truth", true)):
        outside = (values < 0) | (values >= num_classes)
        if bool(outside.any()):
            found = values[outside].unique().tolist()
            raise InvalidValueError(
                f"the {name} of scored voxels holds {found}; expected classes 0..{num_classes - 1} "
                f"(num_classes {num_classes} of the specification)"
            )
    counts = torch.bincount(predicted * num_classes + true, minlength=num_classes**2)
    return counts.view(num_classes, num_classes)


def ssc_scores(confusion: np.ndarray, empty_class: int = 0) -> SSCScores:
    """The benchmark's scores of a confusion matrix (K, K), computed in float64."""
    counts = np.asarray(confusion, dtype=np.float64)
    hits = np.diag(counts)
    class_iou = _ratio(hits, counts.sum(axis=0) + counts.sum(axis=1) - hits)
    solid = np.arange(len(counts)) != empty_class
    occupied = counts[solid][:, solid].sum()
    return SSCScores(
        completion_iou=float(_ratio(occupied, counts.sum() - counts[empty_class, empty_class])),
        precision=float(_ratio(occupied, counts[solid].sum())),
        recall=float(_ratio(occupied, counts[:, solid].sum())),
        class_iou=class_iou,
        mean_iou=float(class_iou[solid].mean()),
    )


def near_box(grid: VoxelGrid, reach: float) -> tuple[slice, slice]:
    """The voxels of a square in front of the car: 0 <= x < reach, ``|y|`` < reach / 2, every z.

    VoxFormer (Li et al., CVPR 2023) introduced this split; by 12.8, 25.6 and 51.2 m it is the usual
    one. ``reach`` is in metres.

    Returns:
        Slices of the X and the Y axis of the voxels whose centres lie in the square.

    Raises:
        InvalidValueError: If no voxel lies in the square.
    """
    x, y = grid.centres(0), grid.centres(1)
    in_x = np.flatnonzero((x >= 0) & (x < reach))
    in_y = np.flatnonzero(np.abs(y) < reach / 2)
    if in_x.size == 0 or in_y.size == 0:
        raise InvalidValueError(f"no voxel of {grid} lies within {reach} m in front of the car")
    return slice(int(in_x[0]), int(in_x[-1]) + 1), slice(int(in_y[0]), int(in_y[-1]) + 1)


def confusion_by_range(
    prediction: Tensor,
    target: Tensor,
    boxes: Sequence[tuple[slice, slice]],
    specification: DatasetSpecification,
) -> np.ndarray:
    """Confusion matrices of (X, Y, Z) classes, see :func:`confusion_matrix`.

    Returns:
        (1 + len(boxes), K, K) int64, of the whole grid and of each box of :func:`near_box`.
    """
    classes = specification.num_classes, specification.ignore_index
    windows = [(slice(None), slice(None)), *boxes]
    matrices = [confusion_matrix(prediction[box], target[box], *classes) for box in windows]
    return torch.stack(matrices).cpu().numpy()


def _ratio(numerator: np.ndarray | float, denominator: np.ndarray | float) -> np.ndarray:
    denominator = np.asarray(denominator)
    return np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, 1), 0.0)
