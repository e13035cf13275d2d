"""What all losses have in common."""

from __future__ import annotations

import inspect

import pytest
import torch
from mmengine.registry import MODELS

from htcl import losses
from htcl.losses import Loss, VoxelPrediction
from htcl.losses import voxel_prediction as module

FACTS = {
    "num_classes": 3,
    "ignore_index": 255,
    "empty_class": 0,
    "class_counts": (100, 10, 10),
    "depth_bins": {"start": 2.0, "stop": 10.0, "step": 1.0},
}
CLASSES = [c for c in vars(losses).values() if inspect.isclass(c) and Loss in c.__bases__]


def build(cls, **arguments):
    wanted = inspect.signature(cls).parameters
    return cls(**{k: v for k, v in FACTS.items() if k in wanted}, **arguments)


def test_released_names_in_the_log():
    assert {build(cls).name: cls.on for cls in CLASSES} == {
        "voxel_ce": "voxels",
        "voxel_sem_scal": "voxels",
        "voxel_geo_scal": "voxels",
        "voxel_lovasz": "voxels",
        "point_ce": "points",
        "point_lovasz": "points",
        "boundary": "boundaries",
        "depth": "depth",
    }


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_registered_and_without_weights_to_learn(cls):
    assert MODELS.get(cls.__name__) is cls
    loss = build(cls, weight=2.5, name="other")
    assert (loss.weight, loss.name) == (2.5, "other")
    assert build(cls).weight == 1
    assert not loss.state_dict()


def test_one_pass_serves_three_losses(monkeypatch):
    calls = []
    original = module.class_sums
    monkeypatch.setattr(module, "class_sums", lambda *a: calls.append(1) or original(*a))
    logits = torch.randn(2, 3, 4, 4, 2, requires_grad=True)
    prediction = VoxelPrediction(logits, torch.randint(0, 3, (2, 4, 4, 2)))
    three = [build(losses.VoxelCrossEntropy), losses.SemanticScal(), losses.GeometricScal()]
    sum(loss(prediction) for loss in three).backward()
    assert len(calls) == 1
    assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize("fill", [255, 0, 2])
def test_one_sided_targets_stay_finite(fill):
    logits = torch.randn(2, 3, 4, 4, 2, requires_grad=True)
    prediction = VoxelPrediction(logits, torch.full((2, 4, 4, 2), fill, dtype=torch.uint8))
    values = {c.__name__: build(c)(prediction) for c in CLASSES if c.on == "voxels"}
    assert all(value.isfinite() for value in values.values())
    if fill == 255:
        assert all(value == 0 for value in values.values())
    sum(values.values()).backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_voxel_losses_stay_in_float32_under_autocast(dtype):
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 4, 4, 2), torch.randint(0, 3, (2, 4, 4, 2))
    for cls in (c for c in CLASSES if c.on == "voxels"):
        expected = build(cls)(VoxelPrediction(logits, target))
        with torch.autocast("cpu", dtype=dtype):
            value = build(cls)(VoxelPrediction(logits.to(dtype), target))
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected, rtol=0.05, atol=0.05)
