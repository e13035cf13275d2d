"""Steps whose numbers are NaN or infinite, on one weight."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper

from htcl.engine.hooks import FiniteStepHook
from htcl.errors import InvalidValueError, NonFiniteError

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def steps(tmp_path):
    """Takes steps of given gradients from the weight 1, at a rate of 1; returns the weights."""

    def steps(hook, gradients, losses=None, clip=None):
        weight = torch.nn.Parameter(torch.ones(()))
        wrapper = OptimWrapper(torch.optim.SGD([weight], lr=1.0), clip_grad=clip)
        said = []
        runner = SimpleNamespace(
            optim_wrapper=wrapper,
            work_dir=str(tmp_path),
            message_hub=MessageHub(f"finite_{tmp_path.name}_{id(wrapper)}"),
            logger=SimpleNamespace(warning=said.append),
        )
        sample = Det3DDataSample(metainfo={"sequence": "08", "frame": "000005"})
        batch, weights = {"data_samples": [sample]}, []
        hook.before_train(runner)
        for step, gradient in enumerate(gradients):
            runner.iter = step
            hook.before_train_iter(runner, step, batch)
            wrapper.update_params(weight * gradient)
            loss = gradient if losses is None else losses[step]
            values = {"loss": loss, "loss_depth": torch.tensor(1.0, requires_grad=True)}
            hook.after_train_iter(runner, step, batch, values)
            weights.append(weight.item())
        return SimpleNamespace(weights=weights, said=said, hub=runner.message_hub)

    return steps


def test_finite_steps_pass(steps):
    done = steps(FiniteStepHook(), [0.25, 0.25])
    assert done.weights == [0.75, 0.5]
    assert not done.said


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_stops_and_says_where(steps, tmp_path, value):
    (tmp_path / "iter_1.pth").touch()
    expected = (
        r"iteration 2: not finite for 08/000005: loss\. The step was not taken; the last good "
        r"checkpoint is .*iter_1\.pth\. .*on_failure=skip"
    )
    with pytest.raises(NonFiniteError, match=expected):
        steps(FiniteStepHook(), [0.25, value])


@pytest.mark.parametrize("clip", [None, {"max_norm": 5}])
def test_gradients_count_too(steps, clip):
    """A finite loss may have a gradient that is none; clipping would spread it."""
    with pytest.raises(NonFiniteError, match=r"08/000005: gradients.*no checkpoint yet"):
        steps(FiniteStepHook(), [NAN], losses=[1.0], clip=clip)


def test_skips_and_counts(steps):
    done = steps(FiniteStepHook("skip"), [0.25, NAN, 0.25, INF], clip={"max_norm": 5})
    assert done.weights == [0.75, 0.75, 0.5, 0.5]
    assert done.hub.get_info("skipped_steps") == 2
    assert "iteration 2: not finite for 08/000005: loss; step skipped" in done.said[0]


def test_does_not_skip_for_ever(steps):
    """Two, not one after another, then three in a row."""
    with pytest.raises(NonFiniteError, match=r"iteration 6:.*\(3 steps in a row\)"):
        steps(FiniteStepHook("skip", max_in_a_row=3), [NAN, NAN, 0.25, NAN, NAN, NAN, 0.25])


def test_overflow_is_left_to_the_gradient_scaler(tmp_path):
    """It halves its scale and does not call the optimiser; the losses are finite."""
    weight = torch.nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    hook = FiniteStepHook()
    runner = SimpleNamespace(
        optim_wrapper=SimpleNamespace(optimizer=optimizer), iter=0, work_dir=str(tmp_path)
    )
    hook.before_train(runner)
    for gradient, expected in ((INF, 1.0), (0.25, 0.75)):
        hook.before_train_iter(runner, 0)
        optimizer.zero_grad()
        scaler.scale(weight * gradient).backward()
        scaler.step(optimizer)
        scaler.update()
        hook.after_train_iter(runner, 0, None, {"loss": 1.0})
        assert weight.item() == expected
    assert scaler.get_scale() == 2.0


def test_unknown_choice():
    with pytest.raises(InvalidValueError, match=r"finite_step\.on_failure='halt' is unknown"):
        FiniteStepHook("halt")
