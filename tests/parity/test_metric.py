"""The metric's counts against three updates of the released one."""

from __future__ import annotations

import numpy as np

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.evaluation.ssc_metric import SSCMetric


def _evaluate(fixture):
    metric = SSCMetric(ranges=())
    for index in range(3):
        target = getattr(fixture, f"in_target_{index}")[0]
        prediction = getattr(fixture, f"in_pred_{index}")[0]
        sample = {"pred_voxels": {"semantics": prediction}, "gt_voxels": {"semantics": target}}
        metric.process(None, [{**sample, "specification": SEMANTICKITTI}])
    return metric


def test_counts_equal_the_released_ones(load_fixture):
    fixture = load_fixture("ssc_metrics")
    total = sum(_evaluate(fixture).results)[0]
    hits = np.diag(total).copy()
    # The release writes class 0 into unscored cells, prediction and target alike, and so counts
    # them as hits of "empty"; no reported score uses that number.
    targets = [getattr(fixture, f"in_target_{index}") for index in range(3)]
    hits[0] += sum(int((target == 255).sum()) for target in targets)
    np.testing.assert_array_equal(hits, fixture.out_tps)
    np.testing.assert_array_equal(total.sum(axis=1) - np.diag(total), fixture.out_fps)
    np.testing.assert_array_equal(total.sum(axis=0) - np.diag(total), fixture.out_fns)
    completion = [total[1:, 1:].sum(), total[1:, 0].sum(), total[0, 1:].sum()]
    np.testing.assert_array_equal(completion, fixture.out_completion[:, 0])


def test_scores_equal_the_released_ones_but_for_its_epsilon(load_fixture):
    fixture = load_fixture("ssc_metrics")
    scores = _evaluate(fixture).evaluate(size=3)
    hits, extra, missed = (
        x.double().numpy() for x in (fixture.out_tps, fixture.out_fps, fixture.out_fns)
    )
    union = hits + extra + missed
    expected = np.where(union > 0, hits / np.maximum(union, 1), 0)
    np.testing.assert_allclose(scores["mIoU"], 100 * expected[1:].mean(), rtol=0, atol=1e-9)
    np.testing.assert_allclose(scores["IoU_car"], 100 * expected[1], rtol=0, atol=1e-9)
    tp, fp, fn = fixture.out_completion[:, 0].double().tolist()
    np.testing.assert_allclose(scores["IoU"], 100 * tp / (tp + fp + fn), rtol=0, atol=1e-9)
    np.testing.assert_allclose(scores["precision"], 100 * tp / (tp + fp), rtol=0, atol=1e-9)
    np.testing.assert_allclose(scores["recall"], 100 * tp / (tp + fn), rtol=0, atol=1e-9)
    np.testing.assert_allclose(scores["mIoU"], 100 * float(fixture.out_iou_ssc_mean), atol=1e-3)
