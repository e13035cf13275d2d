from __future__ import annotations

import math
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
from htcl.geometry import Camera, VoxelGrid, VoxelSight

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


def _camera(shift=0.0):
    """Looks ahead from ``shift`` m left of the origin: 4 x 2 pixels, ``|y - shift|`` < x."""
    intrinsics = torch.eye(4)
    intrinsics[:2, :3] = torch.tensor([[2, 0, 1.5], [0, 2, 0.5]])
    reference_from_camera = torch.tensor(
        [[0.0, 0, 1, 0], [-1, 0, 0, shift], [0, -1, 0, 0], [0, 0, 0, 1]]
    )
    matrices = (intrinsics, reference_from_camera, torch.eye(3), torch.eye(4))
    return Camera(*(matrix[None] for matrix in matrices), (2, 4))


def _depth(left, right):
    """A map of two cells, metres."""
    return torch.tensor([[[left, right]]])


def _seen_sample(seed, depth=None):
    sample = _sample(seed)
    if depth is not None:
        sample.depth_plane = depth
    return sample.to_dict()


def _batch(*cameras):
    return {"inputs": {"cameras": list(cameras)}}


@pytest.fixture
def messages(monkeypatch):
    said = []
    monkeypatch.setattr(
        "htcl.evaluation.ssc_metric.print_log", lambda message, **_: said.append(message)
    )
    return said


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


def test_a_split_without_labels_has_no_scores(messages):
    metric = _metric()
    metric.process(None, [_sample(0, labelled=False).to_dict()])
    assert metric.evaluate(size=1) == {}
    assert "1 of 1 samples have no ground truth" in messages[0]


def test_table_lists_scores_classes_and_ranges(messages):
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


def test_depth_tolerance_makes_more_visible():
    counts = []
    for tolerance in (0.0, 0.5, 4.0):
        metric = _metric(depth_tolerance=tolerance)
        metric.process(_batch(_camera()), [_seen_sample(0, _depth(4.0, 9.0))])
        counts.append(int(metric.results[0][4].sum()))
    assert counts[0] <= counts[1] < counts[2]


def test_views_are_scored_apart():
    """Two drives with another camera and another depth each, in one batch."""
    cameras = (_camera(), _camera(shift=3.0))
    depths = (_depth(4.0, 9.0), _depth(6.0, 2.0))
    samples = [_seen_sample(seed, depth) for seed, depth in enumerate(depths)]
    metric = _metric()
    metric.process(_batch(*cameras), samples)
    masks = {name: [] for name in ("in_view", "out_of_view", "visible", "occluded")}
    for camera, depth in zip(cameras, depths, strict=True):
        sight = VoxelSight(SPECIFICATION.grid, camera)
        visible = sight.visible(depth, math.hypot(*SPECIFICATION.grid.voxel_size) / 2 + 0.5)
        masks["in_view"].append(sight.in_view)
        masks["out_of_view"].append(~sight.in_view)
        masks["visible"].append(visible)
        masks["occluded"].append(sight.in_view & ~visible)
    matrices = {
        name: sum(
            confusion_matrix(
                sample["pred_voxels"]["semantics"][mask],
                sample["gt_voxels"]["semantics"][mask],
                20,
                255,
            ).numpy()
            for sample, mask in zip(samples, each, strict=True)
        )
        for name, each in masks.items()
    }
    full, _, in_view, out_of_view, visible, occluded = np.sum(metric.results, axis=0)
    np.testing.assert_array_equal(full, in_view + out_of_view)
    np.testing.assert_array_equal(in_view, visible + occluded)
    scores = metric.evaluate(size=2)
    for name, matrix in matrices.items():
        assert matrix.sum() > 50
        expected = ssc_scores(matrix)
        assert scores[f"{name}/IoU"] == 100 * expected.completion_iou
        assert scores[f"{name}/mIoU"] == 100 * expected.mean_iou
        assert scores[f"{name}/IoU_car"] == 100 * expected.class_iou[1]


def test_the_same_cameras_are_projected_once(monkeypatch):
    made = []

    def make(*args):
        made.append(args)
        return VoxelSight(*args)

    monkeypatch.setattr("htcl.evaluation.ssc_metric.VoxelSight", make)
    metric = _metric()
    for shift in (0.0, 0.0, 1.0):
        metric.process(_batch(_camera(shift)), [_seen_sample(0)])
    assert len(made) == 2


def test_regions_that_a_sample_lacks_are_left_out(messages):
    metric = _metric()
    metric.process(_batch(_camera()), [_seen_sample(0, _depth(4.0, 4.0))])
    metric.process(_batch(_camera()), [_seen_sample(1)])
    scores = metric.evaluate(size=2)
    assert {"8m/IoU", "in_view/IoU", "out_of_view/IoU"} <= set(scores)
    assert not any(name.startswith(("visible", "occluded")) for name in scores)
    said, table = messages
    assert said == (
        "not scored: visible, occluded; of 2 samples 0 came without cameras and 1 with cameras, "
        "but without predicted depth (depth_plane)"
    )
    assert "out_of_view" in table and "visible" not in table


def test_without_cameras_there_are_no_views(messages):
    metric = _metric()
    metric.process(None, [_seen_sample(0, _depth(4.0, 4.0))])
    assert not any("view" in name or "visible" in name for name in metric.evaluate(size=1))
    assert "in_view, out_of_view, visible, occluded; of 1 samples 1 came without" in messages[0]


def test_views_can_be_turned_off(messages):
    metric = _metric(views=False)
    metric.process(_batch(_camera()), [_seen_sample(0, _depth(4.0, 4.0))])
    assert metric.results[0].shape == (2, 20, 20)
    assert not any("view" in name for name in metric.evaluate(size=1))
    assert len(messages) == 1


def test_results_of_all_processes_have_one_shape():
    """They are gathered; a sample that lacks something must not change what the others mean."""
    metric = _metric()
    metric.process(_batch(_camera()), [_seen_sample(0, _depth(4.0, 4.0))])
    metric.process(None, [_seen_sample(1)])
    assert [result.shape for result in metric.results] == [(6, 20, 20)] * 2


def test_depth_that_does_not_fit_names_the_frame():
    with pytest.raises(InvalidValueError, match="sample 08/000004: depth map of shape"):
        _metric().process(_batch(_camera()), [_seen_sample(4, torch.ones(2, 1, 2))])


def test_a_range_over_the_whole_grid_has_scores_but_no_column(messages):
    metric = _metric(ranges=(8.0, 16.0))
    metric.process(None, [_sample(0).to_dict()])
    scores = metric.evaluate(size=1)
    assert scores["16m/mIoU"] == scores["mIoU"]
    assert " 8m " in messages[-1] and "16m" not in messages[-1]
