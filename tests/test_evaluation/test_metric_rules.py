"""The scoring rule of each benchmark against an independent count, on noise and on real labels.

Shape letters: X Y Z voxel.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement

from htcl.datasets.kitti360_specification import KITTI360
from htcl.datasets.occ3d_specification import OCC3D
from htcl.datasets.openoccupancy_specification import OPENOCCUPANCY
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.voxel_files import read_voxel_labels, read_voxel_mask
from htcl.errors import InvalidValueError
from htcl.evaluation.report import scores_by_region
from htcl.evaluation.ssc_metric import SSCMetric
from htcl.geometry import VoxelGrid

SPECIFICATIONS = (SEMANTICKITTI, KITTI360, OPENOCCUPANCY, OCC3D)
SMALL = VoxelGrid((0.0, -4.0, -1.0), 1.0, (8, 8, 4))
# The classes of the mean as the benchmarks state them, and their free space.
COUNTED = {
    "SemanticKITTI": (range(1, 20), 0),
    "SSCBench-KITTI-360": (range(1, 19), 0),
    "OpenOccupancy": (range(1, 17), 0),
    "Occ3D-nuScenes": (range(17), 17),
}


def expected_scores(pairs, keeps, classes, free, absent_counts):
    """IoU and mIoU in per cent of all frames: voxels of (prediction, truth), and which count."""
    p = np.concatenate([p[k] for (p, _), k in zip(pairs, keeps, strict=True)])
    t = np.concatenate([t[k] for (_, t), k in zip(pairs, keeps, strict=True)])
    iou = 100 * ((p != free) & (t != free)).sum() / ((p != free) | (t != free)).sum()
    ious = []
    for c in classes:
        if (t == c).any() or absent_counts:
            union = ((p == c) | (t == c)).sum()
            ious.append(((p == c) & (t == c)).sum() / union if union else 0.0)
    return iou, 100 * np.mean(ious)


def scored(specification, frames):
    """The scores of frames (prediction, truth, mask or None), by the metric and mmengine."""
    evaluator = Evaluator(SSCMetric(ranges=(), views=False))
    for number, (prediction, truth, mask) in enumerate(frames):
        meta = {"sequence": "0", "frame": str(number), "specification": specification}
        sample = Det3DDataSample(metainfo=meta)
        sample.pred_voxels = BaseDataElement(semantics=torch.from_numpy(prediction))
        masks = {} if mask is None else {"mask_camera": torch.from_numpy(mask)}
        sample.gt_voxels = BaseDataElement(semantics=torch.from_numpy(truth), **masks)
        evaluator.process([sample])
    return evaluator.evaluate(size=len(frames))


def noise(specification, seed, present):
    """A frame of the classes ``present``, one voxel in five not scored, half predicted right."""
    rng = np.random.default_rng(seed)
    shape = (8, 8, 4)
    truth = rng.choice(present, shape).astype(np.uint8)
    other = rng.integers(0, specification.num_classes, shape)
    prediction = np.where(rng.random(shape) < 0.5, truth, other).astype(np.uint8)
    if specification.scored_mask:
        return prediction, truth, (rng.random(shape) < 0.8).astype(np.uint8)
    truth[rng.random(shape) < 0.2] = 255
    return prediction, truth, None


@pytest.mark.parametrize("specification", SPECIFICATIONS, ids=lambda s: s.name)
@pytest.mark.parametrize("missing", [None, 3])
def test_rule_on_noise(specification, missing):
    """Three frames together; with or without a class that is predicted but nowhere true."""
    classes, free = COUNTED[specification.name]
    present = [k for k in range(specification.num_classes) if k != missing]
    frames = [noise(specification, seed, present) for seed in range(3)]
    keeps = [t != 255 if m is None else m > 0 for _, t, m in frames]
    found = scored(replace(specification, grid=SMALL), frames)
    pairs = [(p, t) for p, t, _ in frames]
    absent_counts = specification.name != "Occ3D-nuScenes"
    expected = expected_scores(pairs, keeps, classes, free, absent_counts)
    assert (found["IoU"], found["mIoU"]) == pytest.approx(expected, abs=1e-9)
    names = {f"IoU_{specification.class_names[k]}" for k in classes}
    if missing is not None and not absent_counts:
        names.remove(f"IoU_{specification.class_names[missing]}")
    assert {key for key in found if key.startswith("IoU_")} == names


def moved(labels):
    """A wrong prediction: everything one voxel to the left."""
    return np.roll(labels, 1, axis=1)


def test_rule_on_real_semantickitti(real_kitti):
    stem = real_kitti / "dataset/sequences/00/voxels/000000"
    raw = read_voxel_labels(stem.with_suffix(".label"))
    invalid = read_voxel_mask(stem.with_suffix(".invalid"))
    # Where 52 and 99 (and 1) are, nothing is scored; 252 and higher move.
    truth = SEMANTICKITTI.voxels_from_raw(raw, strict=True)
    prediction = moved(np.where(truth == 255, 0, truth))
    keep = ~invalid & ~np.isin(raw, (1, 52, 99))
    truth[invalid] = 255
    found = scored(SEMANTICKITTI, [(prediction, truth, None)])
    expected = expected_scores([(prediction, truth)], [keep], range(1, 20), 0, True)
    assert (found["IoU"], found["mIoU"]) == pytest.approx(expected, abs=1e-9)
    assert 5 < found["mIoU"] < 60


def test_rule_on_real_occ3d(shared_dir):
    (path,) = (shared_dir / "data/occ3d_labels").glob("*/labels.npz")
    with np.load(path) as file:
        truth, mask = file["semantics"], file["mask_camera"]
    prediction = moved(truth)
    found = scored(OCC3D, [(prediction, truth, mask)])
    expected = expected_scores([(prediction, truth)], [mask == 1], range(17), 17, False)
    assert (found["IoU"], found["mIoU"]) == pytest.approx(expected, abs=1e-9)
    everywhere = scored(replace(OCC3D, scored_mask=None), [(prediction, truth, None)])
    assert everywhere["IoU"] != pytest.approx(found["IoU"], abs=0.1)
    # 98,000 of 640,000 voxels are said to be seen by the cameras of a frame.
    assert 20_000 < mask.sum() < 200_000


@pytest.mark.parametrize("specification", SPECIFICATIONS, ids=lambda s: s.name)
def test_specification(specification):
    classes, free = COUNTED[specification.name]
    assert specification.counted_classes == tuple(classes)
    assert specification.empty_class == free
    assert len(np.unique(specification.colours, axis=0)) == specification.num_classes
    raw = specification.raw_from_voxels(np.arange(specification.num_classes))
    back = specification.voxels_from_raw(raw, strict=True)
    np.testing.assert_array_equal(back, np.arange(specification.num_classes))


def test_mask_that_is_missing_is_named():
    frame = noise(OCC3D, 0, [1, 17])
    with pytest.raises(KeyError, match=r"sample 0/0 has no mask_camera"):
        scored(replace(OCC3D, grid=SMALL), [(*frame[:2], None)])


def test_noise_of_openoccupancy_is_not_scored():
    """File ids: 0 is noise, 1 to 16 are classes; a voxel that is in no row is free."""
    ids = np.array([0, 1, 16, 17], dtype=np.uint16)
    np.testing.assert_array_equal(OPENOCCUPANCY.voxels_from_raw(ids, strict=True), [255, 1, 16, 0])
    with pytest.raises(InvalidValueError, match=r"18 \(1 times\)"):
        OPENOCCUPANCY.voxels_from_raw(np.array([18], dtype=np.uint16), strict=True)


def test_other_grid_than_the_benchmarks_is_said(monkeypatch):
    said = []
    monkeypatch.setattr(
        "htcl.evaluation.ssc_metric.print_log", lambda message, **_: said.append(message)
    )
    frame = noise(SEMANTICKITTI, 0, [0, 1])
    for stored, differs in ((SEMANTICKITTI.stored_grid, True), (SMALL, False)):
        scored(replace(SEMANTICKITTI, grid=SMALL, stored_grid=stored), [frame])
        assert ("not on the grid of SemanticKITTI" in said.pop()) == differs


def test_unknown_rule_for_absent_classes():
    with pytest.raises(InvalidValueError, match="absent_classes='nan' is unknown"):
        replace(OCC3D, absent_classes="nan")


def test_matrix_of_the_largest_split_is_exact():
    """6,019 frames of 10 million voxels each are more than 32 bits hold."""
    grid = OPENOCCUPANCY.grid
    confusion = np.zeros((17, 17), dtype=np.int64)
    confusion[1, 1] = 6019 * grid.num_voxels
    confusion[1, 0] = 1
    assert confusion[1, 1] > 2**32
    score = scores_by_region({"full": confusion}, OPENOCCUPANCY)["full"]
    assert 1 - score.completion_iou == pytest.approx(1 / (confusion[1, 1] + 1), rel=1e-3)
