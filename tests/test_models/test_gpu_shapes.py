"""The full-size networks on a GPU that need not exist: devices, copies, and work launched.

The tensors are fake ones on 'cuda', without values: what asks for one, as ``tolist`` and boolean
masks do, would wait for a real GPU and raises an error here. A fake GPU has no backward pass;
tests/test_engine/test_training_memory.py runs that by the same operators.
"""

from __future__ import annotations

import copy
import functools
import importlib
import re
from contextlib import ExitStack

import pytest
import torch
from device_copies import DeviceCopies
from mmdet3d.structures import Det3DDataSample
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from htcl.config import load_config
from htcl.engine.fake_tensors import add_targets, map_tensors, take_values_out
from htcl.engine.runner import load_model
from htcl.engine.synthetic_input import synthetic_inputs
from htcl.models.fast_layers import fold_batch_norms
from htcl.ops import gpu_operators

BASELINE, PLUS = "semantickitti/temporal_baseline", "semantickitti/htcl_plus"
POINTS = "semantickitti/htcl_points"


@pytest.fixture(scope="module")
def bench(repo_root):
    """Imports a file of benchmarks/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repo_root / "benchmarks"))
        yield importlib.import_module


@pytest.fixture(scope="module")
def configs(repo_root):
    return lambda name: load_config(repo_root / f"projects/configs/occupancy/{name}.py")


@pytest.fixture(scope="module")
def written(repo_root):
    """Operators by pass and config, from the last column of the table in docs/performance.md."""
    section = (repo_root / "docs/performance.md").read_text().partition("## Operators")[2]
    rows = re.findall(r"^\| (\w[\w ]*), `([\w/]+)` \|.*\| ([\d,]+) \|$", section, re.MULTILINE)
    return {(what, name): int(number.replace(",", "")) for what, name, number in rows}


class Network:
    """A network on a fake GPU, folded for predictions."""

    def __init__(self, cfg, counter):
        model = load_model(cfg, None)
        batch = add_targets(model, synthetic_inputs(model, tuple(cfg.input_size)))
        folded = fold_batch_norms(copy.deepcopy(model))
        self.models = {"tensor": model, "predict": folded, "loss": model}
        self.fake, (self.inputs, self.targets) = take_values_out(
            nn.ModuleList([model, folded]), list(batch), "cuda"
        )
        self.counter_class = counter

    @functools.cache  # noqa: B019 - the networks live as long as the module
    def run(self, mode):
        """Outputs of a pass, copies between devices, operators that launch work."""
        model, training = self.models[mode].train(mode == "loss"), mode == "loss"
        samples = self.targets if training else [Det3DDataSample()]
        copies, counter = DeviceCopies(), self.counter_class()
        with ExitStack() as stack:
            # cuDNN's grid_sample cannot tell its shapes.
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            stack.enter_context(torch.set_grad_enabled(training))
            # What is entered last sees an operator first, and so its place.
            for context in (self.fake, counter, copies):
                stack.enter_context(context)
            found = model(self.inputs, samples, mode=mode)
        outputs = []
        map_tensors(found if isinstance(found, dict | list) else [found], outputs.append)
        return outputs, copies.places, counter.launches


@pytest.fixture(scope="module")
def network(configs, bench):
    """Networks by the name of their config, each built once."""
    counter = bench("bench_meters").OperatorCounter
    return functools.cache(lambda name: Network(configs(name), counter))


PASSES = [
    *[(BASELINE, mode) for mode in ("tensor", "predict", "loss")],
    # As a prediction without its folding and its last operators.
    pytest.param(PLUS, "tensor", marks=pytest.mark.slow),
    *[(PLUS, mode) for mode in ("predict", "loss")],
    (POINTS, "predict"),
    pytest.param(POINTS, "loss", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "mode"), PASSES)
def test_a_pass_stays_on_the_gpu(network, name, mode):
    outputs, places, _ = network(name).run(mode)
    assert {tensor.device.type for tensor in outputs} == {"cuda"}
    assert not places, "copies between host and GPU at\n" + "\n".join(places)


OPERATORS = [
    *[(name, mode) for name in (BASELINE, PLUS) for mode in ("predict", "loss")],
    (POINTS, "predict"),
    pytest.param(POINTS, "loss", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "mode"), OPERATORS)
def test_operators_of_a_pass(network, written, name, mode):
    what = {"predict": "prediction", "loss": "losses"}[mode]
    assert network(name).run(mode)[2] <= 1.05 * written[what, name]


def test_operators_of_a_training_step(configs, bench, written):
    """Forward and backward pass, computed on the CPU by the operators of a GPU."""
    name = "mini/htcl_plus"
    cfg = configs(name)
    model = load_model(cfg, None).train()
    batch = bench("bench_inputs").synthetic_batch(model, cfg, cameras=1, training=True)
    counter = bench("bench_meters").OperatorCounter()
    with gpu_operators(), counter:
        losses = model(**batch, mode="loss")
        sum(value for key, value in losses.items() if "loss" in key).backward()
    assert counter.launches <= 1.05 * written["training step", name]


BAD = {
    "tolist": lambda x: sum(x.flatten().tolist()),
    "item": lambda x: x * x.amax().item(),
    "condition": lambda x: x if x.sum() > 0 else -x,
    "mask": lambda x: x[x > 0],
    "nonzero": lambda x: x.nonzero(),
    "tensor": lambda x: x + torch.tensor([1.0, 2.0], device=x.device),
    "new_tensor": lambda x: x + x.new_tensor([1.0, 2.0]),
    "index": lambda x: x[:, [1, 0]],
    "to_host": lambda x: x.cpu(),
}
GOOD = {
    "new_zeros": lambda x: x + x.new_zeros(2),
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "scalar": lambda x: x * torch.tensor(2.0),
}


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.linear = nn.Linear(2, 2)

    def forward(self, x):
        return self.function(self.linear(x))


def problems(function):
    """What the checks above find wrong with a function."""
    model = Function(function)
    mode, x = take_values_out(model, torch.zeros(3, 2), "cuda")
    copies = DeviceCopies()
    try:
        with torch.no_grad(), mode, copies:
            model(x)
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        return [str(error)]
    return copies.places


@pytest.mark.parametrize("name", BAD)
def test_the_checks_find(name):
    (found,) = problems(BAD[name])
    line = BAD[name].__code__.co_firstlineno
    # The operator that asks for a value, or the place that copies.
    assert found.startswith("aten.") or found.startswith(f"{__file__}:{line} ")


@pytest.mark.parametrize("name", GOOD)
def test_the_checks_allow(name):
    assert not problems(GOOD[name])
