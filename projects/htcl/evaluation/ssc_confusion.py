"""Confusion matrix of semantic scene completion, and the benchmarks' scores.

The definitions are those of SemanticKITTI's completion task (Behley et al., "SemanticKITTI: A
Dataset for Semantic Scene Understanding of LiDAR Sequences", ICCV 2019): one matrix over the whole
split, rows predicted, columns true. What differs between benchmarks (the empty class, what is not
scored, a class that is nowhere) is said by their specification. Shape letters: K class, X Y Z
voxel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from htcl.errors import InvalidValueError
from htcl.evaluation.regions import Window


@dataclass(frozen=True)
class SSCScores:
    """Scores of one confusion matrix, each 0 to 1; 0 where the definition divides 0 by 0.

    In ``class_iou`` a class that does not count, because no voxel is truly of it, is NaN.

    Attributes:
        completion_iou: IoU of "occupied", whatever the class.
        precision: Share of the predicted occupied voxels that are occupied.
        recall: Share of the occupied voxels that are predicted occupied.
        class_iou: IoU of each class (K,).
        mean_iou: Mean of ``class_iou`` over all classes that count but the empty one.
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
    pairs = _class_pairs(prediction, target, num_classes, ignore_index)
    return _count_pairs(pairs, num_classes)


def ssc_scores(
    confusion: np.ndarray, empty_class: int = 0, absent_classes: str = "zero"
) -> SSCScores:
    """The benchmark's scores of a confusion matrix (K, K), computed in float64.

    Args:
        confusion: Counts, rows predicted, columns true.
        empty_class: The class of free space.
        absent_classes: ``'zero'`` counts the classes without a true voxel with IoU 0,
            ``'left_out'`` does not count them.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    hits = np.diag(counts)
    class_iou = _ratio(hits, counts.sum(axis=0) + counts.sum(axis=1) - hits)
    solid = np.arange(len(counts)) != empty_class
    counted = solid
    if absent_classes == "left_out":
        class_iou = np.where(counts.sum(axis=0) > 0, class_iou, np.nan)
        counted = solid & ~np.isnan(class_iou)
    occupied = counts[solid][:, solid].sum()
    return SSCScores(
        completion_iou=float(_ratio(occupied, counts.sum() - counts[empty_class, empty_class])),
        precision=float(_ratio(occupied, counts[solid].sum())),
        recall=float(_ratio(occupied, counts[:, solid].sum())),
        class_iou=class_iou,
        mean_iou=float(class_iou[counted].mean()) if counted.any() else 0.0,
    )


def confusion_by_region(
    prediction: Tensor,
    target: Tensor,
    regions: Mapping[str, Window],
    num_classes: int,
    ignore_index: int,
) -> dict[str, np.ndarray]:
    """Confusion matrices of parts of a grid, each (K, K) int64; see :func:`confusion_matrix`.

    Args:
        prediction: Predicted class of each voxel, (X, Y, Z).
        target: True class, same shape.
        regions: Windows by name (:mod:`htcl.evaluation.regions`).
        num_classes: K.
        ignore_index: Target value of voxels that are not scored.

    Raises:
        InvalidValueError: If shapes differ, or a scored voxel has a class outside 0..K-1.
    """
    pairs = _class_pairs(prediction, target, num_classes, ignore_index)
    for name, window in regions.items():
        if isinstance(window, Tensor) and window.shape != pairs.shape:
            raise InvalidValueError(
                f"region {name!r} has a mask {tuple(window.shape)}, the voxels are "
                f"{tuple(pairs.shape)}; predict on the specification's grid"
            )
    counts = [_count_pairs(pairs[window], num_classes) for window in regions.values()]
    return dict(zip(regions, torch.stack(counts).cpu().numpy(), strict=True))


def _class_pairs(prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Number ``predicted * K + true`` of each voxel, K * K where it is not scored; int32."""
    if prediction.shape != target.shape:
        raise InvalidValueError(
            f"prediction {tuple(prediction.shape)} and ground truth {tuple(target.shape)} have "
            "different shapes; predict on the grid of the labels"
        )
    scored = target != ignore_index
    for name, values in (("prediction", prediction), ("ground truth", target)):
        outside = scored & ((values < 0) | (values >= num_classes))
        if bool(outside.any()):
            found = values[outside].unique().tolist()
            raise InvalidValueError(
                f"the {name} of scored voxels holds {found}; expected classes 0..{num_classes - 1} "
                f"(num_classes {num_classes} of the specification)"
            )
    return torch.where(scored, prediction.int() * num_classes + target.int(), num_classes**2)


def _count_pairs(pairs: Tensor, num_classes: int) -> Tensor:
    """How often each pair occurs, (K, K) int64, rows predicted, columns true."""
    counts = torch.bincount(pairs.flatten(), minlength=num_classes**2 + 1)
    return counts[:-1].view(num_classes, num_classes)


def _ratio(numerator: np.ndarray | float, denominator: np.ndarray | float) -> np.ndarray:
    denominator = np.asarray(denominator)
    return np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, 1), 0.0)
