from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.specification import build_specification
from htcl.errors import InvalidValueError
from htcl.evaluation import confusion_matrix, ssc_scores
from htcl.evaluation.ssc_metric import SSCMetric
from htcl.geometry import VoxelGrid

SPECIFICATION = replace(SEMANTICKITTI, grid=VoxelGrid((0.0, -8.0, -1.0), 1.0, (16, 16, 4)))


def _sample(seed, labelled=True):
    generator = torch.manual_seed(seed)
    shape = (16, 16, 4)
    target = torch.randint(0, 20, shape, generator=generator, dtype=torch.uint8)
    noise = torch.randint(0, 20, shape, generator=generator, dtype=torch.uint8)
    prediction = torch.where(torch.rand(shape, generator=generator) < 0.5, target, noise)
    target[torch.rand(shape, generator=generator) < 0.1] = 255
    meta = {"sequence": "08", "frame": f"{seed:06d}", "specification": SPECIFICATION}
    sample = Det3DDataSample(metainfo=meta)
    sample.pred_voxels = BaseDataElement(semantics=prediction)
    if labelled:
        sample.gt_voxels = BaseDataElement(semantics=target)
    return sample


def _metric(**kwargs):
    return SSCMetric(**{"ranges": (8.0,), **kwargs})


def test_through_mmengines_evaluator():
    samples = [_sample(seed) for seed in range(4)]
    copies = [s.clone() for s in samples]
    evaluator = Evaluator(_metric())
    evaluator.process(samples[:2])
    evaluator.process(samples[2:])
    scores = evaluator.evaluate(size=4)

    expected = ssc_scores(
        sum(
            confusion_matrix(s.pred_voxels.semantics, s.gt_voxels.semantics, 20, 255)
            for s in copies
        ).numpy()
    )
    assert scores["IoU"] == 100 * expected.completion_iou
    assert scores["mIoU"] == 100 * expected.mean_iou
    assert scores["precision"] == 100 * expected.precision
    assert scores["recall"] == 100 * expected.recall
    for index, name in enumerate(SPECIFICATION.class_names[1:], start=1):
        assert scores[f"IoU_{name}"] == 100 * expected.class_iou[index]
    assert "IoU_empty" not in scores
    near = ssc_scores(
        sum(
            confusion_matrix(
                s.pred_voxels.semantics[:8, 4:12], s.gt_voxels.semantics[:8, 4:12], 20, 255
            )
            for s in copies
        ).numpy()
    )
    assert scores["8m/mIoU"] == 100 * near.mean_iou
    for sample, copy in zip(samples, copies, strict=True):
        assert torch.equal(sample.gt_voxels.semantics, copy.gt_voxels.semantics)
        assert torch.equal(sample.pred_voxels.semantics, copy.pred_voxels.semantics)


def test_repeated_samples_of_a_distributed_sampler_count_once():
    once, padded = _metric(), _metric()
    for seed in (0, 1, 2):
        once.process(None, [_sample(seed).to_dict()])
        padded.process(None, [_sample(seed).to_dict()])
    padded.process(None, [_sample(0).to_dict()])
    assert padded.evaluate(size=3) == once.evaluate(size=3)


def test_the_samples_specification_wins_over_that_of_the_data_set():
    sample = _sample(0).to_dict()
    told = _metric()
    told.dataset_meta = {"specification": asdict(SEMANTICKITTI)}
    told.process(None, [sample])
    del sample["specification"]
    fallback = _metric()
    # As a checkpoint or a data set's meta information has it.
    fallback.dataset_meta = {"specification": asdict(SPECIFICATION)}
    fallback.process(None, [sample])
    np.testing.assert_array_equal(told.results[0], fallback.results[0])


def test_labels_of_other_classes_are_refused():
    """The number of classes is one fact: labels 0..19 do not fit to a specification of 19."""
    sample = _sample(3).to_dict()
    merge = {"post": ["pole", "traffic-sign"]}
    merged = build_specification({"base": "SemanticKITTI", "merge": merge})
    sample["specification"] = replace(merged, grid=SPECIFICATION.grid)
    with pytest.raises(InvalidValueError, match=r"08/000003: .*\[19\].*num_classes 19"):
        _metric().process(None, [sample])


def test_samples_without_ground_truth_are_left_out(caplog):
    metric = _metric()
    metric.process(None, [_sample(0).to_dict(), _sample(1, labelled=False).to_dict()])
    alone = _metric()
    alone.process(None, [_sample(0).to_dict()])
    assert metric.evaluate(size=2) == alone.evaluate(size=1)


def test_a_split_without_labels_has_no_scores(monkeypatch):
    messages = []
    monkeypatch.setattr(
        "htcl.evaluation.ssc_metric.print_log", lambda message, **_: messages.append(message)
    )
    metric = _metric()
    metric.process(None, [_sample(0, labelled=False).to_dict()])
    assert metric.evaluate(size=1) == {}
    assert "1 of 1 samples have no ground truth" in messages[0]


def test_table_lists_scores_classes_and_ranges(monkeypatch):
    messages = []
    monkeypatch.setattr(
        "htcl.evaluation.ssc_metric.print_log", lambda message, **_: messages.append(message)
    )
    metric = _metric()
    metric.process(None, [_sample(0).to_dict()])
    scores = metric.evaluate(size=1)
    table = messages[-1]
    assert "8m" in table
    row = next(line for line in table.splitlines() if "| car" in line)
    assert f"{scores['IoU_car']:.2f}" in row
    assert f"{scores['8m/IoU_car']:.2f}" in row


def test_errors_name_the_frame():
    sample = _sample(7).to_dict()
    sample["pred_voxels"]["semantics"] = sample["pred_voxels"]["semantics"][:4]
    with pytest.raises(InvalidValueError, match="sample 08/000007: prediction"):
        _metric().process(None, [sample])
    del sample["pred_voxels"]
    with pytest.raises(KeyError, match="08/000007 has no pred_voxels"):
        _metric().process(None, [sample])


def test_prefix_is_optional():
    metric = _metric(prefix="val", ranges=())
    metric.process(None, [_sample(0).to_dict()])
    assert "val/mIoU" in metric.evaluate(size=1)
