"""Training by time, with a clock that the tests set."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import IterBasedTrainLoop

from htcl.engine.hooks import time_budget
from htcl.engine.hooks.time_budget import TimeBudgetHook
from htcl.errors import InvalidValueError


class _Hub:
    def __init__(self):
        self.runtime_info = {}

    def update_info(self, key, value):
        self.runtime_info[key] = value


class _Loop(IterBasedTrainLoop):
    def __init__(self):
        self._max_iters = time_budget.NO_END


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(time_budget.time, "monotonic", lambda: now.seconds)
    return now


def _runner(loop=None):
    groups = [{"lr": 2.0}, {"lr": 0.5}]
    return SimpleNamespace(
        iter=0,
        train_loop=_Loop() if loop is None else loop,
        message_hub=_Hub(),
        optim_wrapper=SimpleNamespace(param_groups=groups),
        model=torch.nn.Linear(1, 1),
    )


def test_the_rate_follows_the_clock(clock):
    """Warm-up over the first tenth of 10 minutes, half a cosine to a twentieth over the rest."""
    hook, runner = TimeBudgetHook(10, warmup=0.1), _runner()
    hook.before_train(runner)
    expected = {0: 0.05, 30: 0.5, 60: 1.0, 330: 0.525, 599.999: 0.05}
    for seconds, factor in expected.items():
        clock.seconds = 1000 + seconds
        hook.before_train_iter(runner, 0)
        rates = [group["lr"] for group in runner.optim_wrapper.param_groups]
        assert rates == pytest.approx([2.0 * factor, 0.5 * factor], rel=1e-4)
        assert runner.train_loop._max_iters == time_budget.NO_END


def test_the_step_at_which_time_is_over_is_the_last(clock):
    hook, runner = TimeBudgetHook(1), _runner()
    hook.before_train(runner)
    runner.iter, clock.seconds = 41, 1061.0
    hook.before_train_iter(runner, 0)
    assert runner.train_loop._max_iters == 42
    hook, runner = TimeBudgetHook(1, min_steps=50), _runner()
    hook.before_train(runner)
    runner.iter, clock.seconds = 41, 1300.0
    hook.before_train_iter(runner, 0)
    assert runner.train_loop._max_iters == time_budget.NO_END


def test_a_resumed_run_has_what_is_left(clock):
    """After 45 s of a minute, 20 s more are too many."""
    hook, runner = TimeBudgetHook(1), _runner()
    hook.before_train(runner)
    clock.seconds += 45
    hook.before_train_iter(runner, 0)
    rate = runner.optim_wrapper.param_groups[0]["lr"]
    assert rate == pytest.approx(2 * (0.05 + 0.475 * (1 + math.cos(math.pi * 0.72 / 0.97))))
    again = TimeBudgetHook(1)
    clock.seconds += 10_000
    # The optimiser's groups keep the config's rate, the message hub the time.
    again.before_train(runner)
    clock.seconds += 10
    again.before_train_iter(runner, 0)
    assert runner.train_loop._max_iters == time_budget.NO_END
    clock.seconds += 10
    again.before_train_iter(runner, 0)
    assert runner.train_loop._max_iters == 1
    assert runner.optim_wrapper.param_groups[0]["lr"] == pytest.approx(0.1)


def test_only_trainings_by_steps():
    with pytest.raises(InvalidValueError, match="goes by epochs"):
        TimeBudgetHook(1).before_train(_runner(object()))
    with pytest.raises(InvalidValueError, match="more than 0"):
        TimeBudgetHook(0)
