"""The training IoU: watched steps, values, and what reaches the logger."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from htcl.engine.hooks import TrainIoUHook
from htcl.losses import VoxelPrediction


class Model(nn.Module):
    def __init__(self, empty_class=0):
        super().__init__()
        self.specification = SimpleNamespace(empty_class=empty_class)
        self.training_observers = []


def make_runner(model, name):
    return SimpleNamespace(model=model, iter=0, message_hub=MessageHub.get_instance(name))


def prediction(classes, target):
    """Certain of each of four voxels."""
    logits = nn.functional.one_hot(torch.tensor(classes), 3).float().t().view(1, 3, 4, 1, 1)
    return VoxelPrediction(logits, torch.tensor(target).view(1, 4, 1, 1))


def train(hook, runner, steps, seen):
    hook.before_train(runner)
    for runner.iter in range(steps):
        hook.before_train_iter(runner, runner.iter)
        for observe in runner.model.training_observers:
            observe(seen)
        hook.after_train_iter(runner, runner.iter)


def test_values_by_hand():
    """Scored: (1, 1), (2, 1), (0, 2); occupied IoU 2/3, class 1 1/2, class 2 0/2."""
    runner = make_runner(Model(), "train_iou_values")
    train(TrainIoUHook(interval=1), runner, 1, prediction([1, 2, 0, 0], [1, 1, 2, 255]))
    scalars = runner.message_hub.log_scalars
    assert scalars["train/iou"].current() == pytest.approx(2 / 3)
    assert scalars["train/miou"].current() == pytest.approx(1 / 4)


def test_free_space_is_the_class_that_the_specification_says():
    """Empty is 2: of the scored (1, 1), (2, 1), (0, 2), one of three is rightly occupied."""
    runner = make_runner(Model(empty_class=2), "train_iou_empty")
    train(TrainIoUHook(interval=1), runner, 1, prediction([1, 2, 0, 0], [1, 1, 2, 255]))
    scalars = runner.message_hub.log_scalars
    assert scalars["train/iou"].current() == pytest.approx(1 / 3)
    assert scalars["train/miou"].current() == pytest.approx(1 / 4)


def test_looks_at_every_interval_th_step_only():
    seen = prediction([1, 2, 0, 0], [1, 1, 2, 255])
    runner = make_runner(Model(), "train_iou_interval")
    train(TrainIoUHook(interval=3), runner, 7, seen)
    _, counts = runner.message_hub.log_scalars["train/iou"].data
    assert len(counts) == 2
    assert "class_sums" not in vars(seen)


def test_two_trainings_watch_once():
    model, hook = Model(), TrainIoUHook(1)
    for _ in range(2):
        hook.before_train(make_runner(model, "train_iou_twice"))
    assert len(model.training_observers) == 1
    assert len(copy.deepcopy(model).training_observers) == 1


def test_a_model_without_observers_is_left_alone():
    runner = make_runner(nn.Linear(1, 1), "train_iou_none")
    hook = TrainIoUHook(1)
    hook.before_train(runner)
    hook.before_train_iter(runner, 0)
    hook.after_train_iter(runner, 0)
    assert not runner.message_hub.log_scalars
