"""The scores of one frame as lines of text; a benchmark's come from one matrix over a split."""

from __future__ import annotations

import numpy as np
import torch

from htcl.evaluation.ssc_confusion import confusion_matrix, ssc_scores
from htcl.visualization.result_file import FrameResult


def frame_scores(result: FrameResult) -> str:
    """IoU and mIoU of all scored voxels of a frame."""
    if result.ground_truth is None:
        return "no ground truth"
    return f"This frame: {_score_text(result, result.prediction, result.ground_truth)}"


def view_scores(result: FrameResult, in_view: np.ndarray) -> list[str]:
    """The same of the voxels in and out of view, a line each; none without ground truth.

    ``in_view`` marks the voxels in view, bool (X, Y, Z).
    """
    if result.ground_truth is None:
        return []
    parts = {"In view": in_view, "Out of view": ~in_view}
    return [
        f"{name}: {_score_text(result, result.prediction[mask], result.ground_truth[mask])}"
        for name, mask in parts.items()
    ]


def _score_text(result: FrameResult, prediction: np.ndarray, truth: np.ndarray) -> str:
    """IoU and mIoU of some voxels of a frame."""
    labels = torch.from_numpy(prediction), torch.from_numpy(truth)
    classes = len(result.class_names), result.ignore_index
    confusion = confusion_matrix(*labels, *classes).numpy()
    scores, drawn = ssc_scores(confusion, result.empty_class), result.drawn_classes
    # Classes that are not in the frame say nothing about it, also where the network invents them:
    # the IoU and the other classes have that error already. Columns are true classes.
    present = confusion.sum(axis=0)[drawn] > 0
    mean = scores.class_iou[drawn][present].mean() if present.any() else 0.0
    return (
        f"IoU {100 * scores.completion_iou:.1f} %   "
        f"mIoU {100 * mean:.1f} % ({present.sum()} classes present)"
    )
