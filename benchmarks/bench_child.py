"""One measurement in a process of its own, started by benchmarks/run.py.

Usage: bench_child.py SPEC.json RESULT.json. It measures the package that PYTHONPATH names, which
may be another revision's, and says from where it came.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import torch
from environment import environment_facts
from torch import nn

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


class OtherTreeError(Exception):
    """The package that was imported is not the one that is to be measured."""


def drop_editable_finders() -> None:
    """Lets nothing but sys.path say where ``htcl`` is.

    The finder of an editable installation serves every module that another tree lacks from the
    installed tree, so that two revisions would be mixed.
    """
    sys.meta_path[:] = [
        finder
        for finder in sys.meta_path
        if not str(getattr(finder, "__module__", "")).startswith("__editable___htcl")
    ]


def main(argv: list[str]) -> int:
    """Measures; what went wrong in words is part of the result."""
    spec = json.loads(Path(argv[0]).read_text())
    torch.set_num_threads(spec["threads"])
    # What another revision may lack; in this one it is a fault, which keeps its traceback.
    lacking: tuple[type[Exception], ...] = ()
    if spec["side"] == "against":
        lacking = (ImportError, AttributeError, TypeError, KeyError, OtherTreeError)
    result: dict[str, Any]
    try:
        result = _measure(spec)
    except lacking as error:
        result = {"lacking": f"{type(error).__name__}: {error}".splitlines()[0]}
    except torch.cuda.OutOfMemoryError:
        result = {"problem": "out of GPU memory"}
    except Exception as error:
        # By name: the package of another revision may have no such class.
        if "UserError" not in [cls.__name__ for cls in type(error).__mro__]:
            raise
        result = {"problem": str(error)}
    Path(argv[1]).write_text(json.dumps(result))
    return 0


def _measure(spec: dict[str, Any]) -> dict[str, Any]:
    import htcl

    package, tree = Path(htcl.__file__).resolve().parent, Path(spec["tree"]).resolve()
    result = _measure_data(spec) if spec["what"] == "data" else _measure_network(spec)
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        ours = name.partition(".")[0] == "htcl" and file is not None
        if ours and not Path(file).resolve().is_relative_to(tree):
            raise OtherTreeError(f"{name} was imported from {file}, not from {tree}")
    return {**result, "package": str(package), "environment": environment_facts()}


def load(spec: dict[str, Any]) -> Any:
    """The config of a measurement."""
    from mmengine.registry import init_default_scope

    from htcl.config import load_config

    options = dict(spec["options"])
    if spec["data"]:
        options |= {"data_root": spec["data"], "history_stride": spec["history_stride"]}
        # A revision before this key has none to be set to None.
        if spec["history_metres"] is not None:
            options["history_metres"] = spec["history_metres"]
        options["train_sequences"] = (spec["sequence"],)
    cfg = load_config(spec["config"], options)
    init_default_scope(cfg.get("default_scope", "mmengine"))
    return cfg


def _measure_network(spec: dict[str, Any]) -> dict[str, Any]:
    from bench_inputs import real_batch, synthetic_batch, to_device
    from bench_meters import OperatorCounter, held_bytes, peak_bytes, reset_peak, synchronisations

    device, training = torch.device(spec["device"]), spec["what"] == "train"
    cfg = load(spec)
    libraries = held_bytes(device)
    model = build_model(cfg, spec["precision"], device).train(training)
    if not training:
        fold(model)
    size = spec["batch_size"]
    if spec["data"]:
        batch = real_batch(model, cfg, spec["frame"], size)
    else:
        batch = to_device(synthetic_batch(model, cfg, spec["cameras"], training, size), device)
    notes: dict[str, Any] = {"input_size": [*([size] if size > 1 else []), *cfg.input_size]}
    if training:
        step = _training_step(model, batch, cfg, spec["precision"], notes)
    else:
        step = prediction_step(model, batch, spec["precision"])
    if spec["what"] == "stages":
        return {**_stages(model, step, device, spec), **notes}

    reset_peak(device)
    counter = OperatorCounter()
    start = time.perf_counter()
    with counter:
        step()
    _finish(device)
    first, first_peak = time.perf_counter() - start, peak_bytes(device)
    if spec["repeats"]:
        for _ in range(spec["warmup"]):
            step()
        _finish(device)
        reset_peak(device)
    processor = time.process_time()
    seconds = [_time(step, device) for _ in range(spec["repeats"])]
    processor = time.process_time() - processor
    # After its reset, the mark of a process may be below what it needed in the counted pass alone.
    peak = peak_bytes(device) if seconds else first_peak
    waits = synchronisations(step, device)
    return {
        "seconds": seconds or [first],
        "processor_seconds": processor / len(seconds) if seconds else None,
        "peak_bytes": peak,
        "first_pass_peak_bytes": first_peak,
        "libraries_bytes": libraries,
        "flops": counter.flops,
        "operators": counter.operators,
        "synchronisations": None if waits is None else sum(waits.values()),
        "waits": waits,
        **notes,
    }


def build_model(cfg: Any, precision: str, device: torch.device) -> nn.Module:
    """The network of a config under random weights of seed 0."""
    from mmengine.registry import MODELS

    from htcl.engine.runner import config_errors

    exact = precision != "tf32"
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = not exact
    torch.backends.cudnn.benchmark = bool(cfg.env_cfg.get("cudnn_benchmark", False))
    torch.manual_seed(0)
    with config_errors(cfg):
        return MODELS.build(cfg.model).to(device)


def fold(model: nn.Module) -> None:
    """Folds batch norms as the tools do that predict; older revisions did not."""
    if find_spec("htcl.models.fast_layers") is not None:
        from htcl.models.fast_layers import fold_batch_norms

        fold_batch_norms(model)


def _context(precision: str, device: str) -> AbstractContextManager[Any]:
    dtype = DTYPES.get(precision)
    return nullcontext() if dtype is None else torch.autocast(device, dtype)


def prediction_step(
    model: nn.Module, batch: dict[str, Any], precision: str, mode: str = "predict"
) -> Callable[[], Any]:
    """A function that predicts once."""
    device = next(model.parameters()).device.type

    @torch.no_grad()
    def step() -> Any:
        with _context(precision, device):
            return model(**batch, mode=mode)

    return step


def logits_of(model: nn.Module, batch: dict[str, Any], precision: str) -> torch.Tensor:
    """Logits (B, K, X, Y, Z) of a prediction."""
    logits: torch.Tensor = prediction_step(model, batch, precision, "tensor")()
    return logits


def _training_step(
    model: nn.Module, batch: dict[str, Any], cfg: Any, precision: str, notes: dict[str, Any]
) -> Callable[[], Any]:
    """A function that trains one step and notes losses and parameters without a gradient."""
    from mmengine.optim import build_optim_wrapper

    wrapper = dict(cfg.optim_wrapper)
    types = {"bf16": "BFloat16OptimWrapper", "fp16": "AmpOptimWrapper"}
    wrapper["type"] = types.get(precision, "OptimWrapper")
    optimiser = build_optim_wrapper(model, wrapper)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    reached: set[int] = set()
    hooks = [
        parameter.register_post_accumulate_grad_hook(lambda each: reached.add(id(each)))
        for parameter in trained
    ]

    def step() -> None:
        with optimiser.optim_context(model):
            loss, logged = model.parse_losses(model(**batch, mode="loss"))
        optimiser.update_params(loss)
        if not hooks:
            return
        # In the first step alone: reading a loss waits for the GPU.
        notes["losses"] = {name: float(value.detach()) for name, value in logged.items()}
        notes["parameters_without_gradient"] = len(trained) - len(reached)
        while hooks:
            hooks.pop().remove()

    return step


def _stages(
    model: nn.Module, step: Callable[[], Any], device: torch.device, spec: dict[str, Any]
) -> dict[str, Any]:
    from bench_meters import StageClock

    for _ in range(1 + spec["warmup"]):
        step()
    clock = StageClock(model, device)
    clock.take()
    whole, parts = [], []
    for _ in range(max(1, spec["repeats"])):
        seconds = _time(step, device)
        found, outermost = clock.take()
        whole.append(seconds)
        parts.append({**found, "rest": seconds - outermost})
    clock.close()
    stages = {name: median([part.get(name, 0.0) for part in parts]) for name in parts[0]}
    return {"seconds": whole, "stages": stages}


def _measure_data(spec: dict[str, Any]) -> dict[str, Any]:
    from bench_inputs import index_of, training_dataset
    from torch.utils.data import DataLoader, Subset

    # A worker of a loader has one thread too.
    torch.set_num_threads(1)
    dataset, frame = training_dataset(load(spec)), spec["frame"]
    chosen = [index_of(dataset, frame)] if frame else range(len(dataset))

    def take(count: int) -> list[int]:
        return [chosen[index % len(chosen)] for index in range(count)]

    # The first sample compiles what is compiled, and warms the files.
    dataset[chosen[0]]
    seconds = []
    for index in take(max(1, spec["repeats"])):
        start = time.perf_counter()
        dataset[index]
        seconds.append(time.perf_counter() - start)
    rates = {}
    for workers in spec["workers"]:
        samples = Subset(dataset, take(1 + workers * (2 + spec["repeats"])))
        loader = DataLoader(samples, batch_size=None, num_workers=workers, prefetch_factor=1)
        stream = iter(loader)
        # Before it the workers start.
        next(stream)
        start = time.perf_counter()
        count = sum(1 for _ in stream)
        rates[str(workers)] = count / (time.perf_counter() - start)
    return {"seconds": seconds, "samples": len(chosen), "samples_per_second": rates}


def _time(step: Callable[[], Any], device: torch.device) -> float:
    start = time.perf_counter()
    step()
    _finish(device)
    return time.perf_counter() - start


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    drop_editable_finders()
    sys.exit(main(sys.argv[1:]))
