from __future__ import annotations

import numpy as np
import pytest
import torch

from htcl.errors import InvalidValueError
from htcl.evaluation.ssc_confusion import confusion_by_region, confusion_matrix, ssc_scores

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


def test_regions_count_their_voxels_only():
    prediction, target = map(torch.from_numpy, _pair(1, (16, 16, 4)))
    mask = torch.rand((16, 16, 4), generator=torch.manual_seed(0)) < 0.3
    regions = {"full": (slice(None),), "box": (slice(0, 8), slice(4, 12)), "mask": mask}
    found = confusion_by_region(prediction, target, regions, *CLASSES)
    assert list(found) == list(regions)
    for name, window in regions.items():
        alone = confusion_matrix(prediction[window], target[window], *CLASSES).numpy()
        np.testing.assert_array_equal(found[name], alone)
        assert found[name].dtype == np.int64


def test_a_mask_of_another_grid_is_named():
    voxels = torch.zeros((4, 4, 2), dtype=torch.uint8)
    regions = {"in_view": torch.ones((4, 4, 1), dtype=torch.bool)}
    with pytest.raises(InvalidValueError, match=r"'in_view' has a mask \(4, 4, 1\).*\(4, 4, 2\)"):
        confusion_by_region(voxels, voxels, regions, *CLASSES)
