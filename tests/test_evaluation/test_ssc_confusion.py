from __future__ import annotations

import numpy as np
import pytest
import torch

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.errors import InvalidValueError
from htcl.evaluation.ssc_confusion import (
    confusion_by_range,
    confusion_matrix,
    near_box,
    ssc_scores,
)
from htcl.geometry import VoxelGrid

GRID = SEMANTICKITTI.grid
CLASSES = (20, 255)


def _official(pairs, classes=20):
    """The benchmark's evaluator in plain numpy: add.at, then its formulas with their 1e-15."""
    conf = np.zeros((classes, classes), dtype=np.int64)
    for prediction, target in pairs:
        keep = target != 255
        np.add.at(conf, (prediction[keep].astype(int), target[keep].astype(int)), 1)
    tp = np.diag(conf).astype(np.float64)
    fp, fn = conf.sum(axis=1) - tp, conf.sum(axis=0) - tp
    iou = tp / (tp + fp + fn + 1e-15)
    completion = conf[1:, 1:].sum()
    return {
        "conf": conf,
        "iou": iou,
        "miou": iou[1:].mean(),
        "completion": completion / (conf.sum() - conf[0, 0]),
        "precision": completion / conf[1:, :].sum(),
        "recall": completion / conf[:, 1:].sum(),
    }


def _pair(seed, shape=(16, 12, 8)):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 18, shape).astype(np.uint8)  # classes 18 and 19 absent
    prediction = np.where(rng.random(shape) < 0.5, target, rng.integers(0, 19, shape))
    target[rng.random(shape) < 0.1] = 255
    return prediction.astype(np.uint8) % 20, target


def test_equals_the_official_evaluator():
    pairs = [_pair(seed) for seed in range(3)]
    expected = _official(pairs)
    confusion = sum(
        confusion_matrix(*map(torch.from_numpy, pair), *CLASSES) for pair in pairs
    ).numpy()
    np.testing.assert_array_equal(confusion, expected["conf"])
    scores = ssc_scores(confusion)
    np.testing.assert_allclose(scores.class_iou, expected["iou"], rtol=0, atol=1e-9)
    assert scores.mean_iou == pytest.approx(expected["miou"], abs=1e-9)
    assert scores.completion_iou == pytest.approx(expected["completion"], abs=1e-9)
    assert scores.precision == pytest.approx(expected["precision"], abs=1e-9)
    assert scores.recall == pytest.approx(expected["recall"], abs=1e-9)


def test_scores_by_hand():
    """6 voxels of class 1, 3 found as 1, 1 as 2, 2 missed; 2 empty ones invented as 1."""
    conf = np.array([[10, 2, 0], [2, 3, 0], [0, 1, 0]])
    scores = ssc_scores(conf)
    assert scores.completion_iou == pytest.approx(4 / 8)
    assert scores.precision == pytest.approx(4 / 6)
    assert scores.recall == pytest.approx(4 / 6)
    assert scores.class_iou.tolist() == pytest.approx([10 / 14, 3 / 8, 0])
    assert scores.mean_iou == pytest.approx(3 / 16)


def test_nothing_scored_gives_zeros():
    scores = ssc_scores(np.zeros((20, 20), dtype=np.int64))
    assert (scores.completion_iou, scores.precision, scores.recall, scores.mean_iou) == (0, 0, 0, 0)


def test_counts_are_exact_beyond_float32():
    many = 2**24 + 1
    conf = np.zeros((20, 20), dtype=np.int64)
    conf[1, 1], conf[0, 1] = many, 1
    assert ssc_scores(conf).recall == many / (many + 1)


def test_inputs_stay_as_they_are():
    prediction, target = map(torch.from_numpy, _pair(0))
    copies = prediction.clone(), target.clone()
    confusion_matrix(prediction, target, *CLASSES)
    assert torch.equal(prediction, copies[0])
    assert torch.equal(target, copies[1])


def test_unscored_predictions_may_hold_anything():
    prediction, target = torch.tensor([1, 255]), torch.tensor([1, 255])
    assert confusion_matrix(prediction, target, *CLASSES).sum() == 1


def test_classes_out_of_range_are_refused():
    with pytest.raises(InvalidValueError, match=r"prediction .* holds \[255\]"):
        confusion_matrix(torch.tensor([255]), torch.tensor([0]), *CLASSES)
    with pytest.raises(InvalidValueError, match=r"ground truth .* holds \[20\].*num_classes 20"):
        confusion_matrix(torch.tensor([0]), torch.tensor([20]), *CLASSES)
    with pytest.raises(InvalidValueError, match="different shapes"):
        confusion_matrix(torch.zeros(2, 2), torch.zeros(2, 3), *CLASSES)


def test_near_boxes_of_the_benchmarks_grid():
    """0.2 m voxels, y from -25.6: 12.8 m are 64 voxels in front and 32 to each side."""
    assert near_box(GRID, 12.8) == (slice(0, 64), slice(96, 160))
    assert near_box(GRID, 25.6) == (slice(0, 128), slice(64, 192))
    assert near_box(GRID, 51.2) == (slice(0, 256), slice(0, 256))


def test_near_box_of_a_coarse_grid_and_of_none():
    assert near_box(GRID.resized(0.8), 12.8) == (slice(0, 16), slice(24, 40))
    with pytest.raises(InvalidValueError, match=r"within 0.1 m"):
        near_box(GRID, 0.1)


def test_ranges_count_their_voxels_only():
    prediction, target = map(torch.from_numpy, _pair(1, (16, 16, 4)))
    box = near_box(VoxelGrid((0.0, -8.0, 0.0), 1.0, (16, 16, 4)), 8.0)
    full, near = confusion_by_range(prediction, target, [box], SEMANTICKITTI)
    np.testing.assert_array_equal(full, confusion_matrix(prediction, target, *CLASSES).numpy())
    cut = confusion_matrix(prediction[:8, 4:12], target[:8, 4:12], *CLASSES)
    np.testing.assert_array_equal(near, cut.numpy())
