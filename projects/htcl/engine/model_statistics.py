"""Parameters, FLOPs and memory of a model by part, with a synthetic input.

Shape letters: B batch, N camera, T frame, H W image.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from prettytable import PrettyTable
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from htcl.engine.fake_tensors import map_tensors, take_values_out
from htcl.engine.part_recorder import REST, PartRecorder
from htcl.engine.runner import load_model
from htcl.engine.synthetic_input import synthetic_inputs
from htcl.errors import InvalidValueError
from htcl.ops import gpu_operators


@dataclass
class PartStatistics:
    """Numbers of one part.

    Attributes:
        name: Attribute of the model.
        parameters: Number of parameters.
        trainable: Those of them that a training changes.
        flops: Operations of one prediction; a multiply-add is two.
        peak_bytes: Largest memory while the part ran, with all that was alive then; 0 if it was not
            run on its own.
    """

    name: str
    parameters: int
    trainable: int
    flops: int
    peak_bytes: int


@dataclass
class ModelStatistics:
    """Numbers of a model.

    Attributes:
        parts: Of each part, in the order of the forward pass.
        total: Sums; of the memory the maximum.
        input_shapes: Shape of each input.
        seconds: Time of one prediction, None if nothing was computed.
    """

    parts: list[PartStatistics]
    total: PartStatistics
    input_shapes: dict[str, tuple[int, ...]]
    seconds: float | None = None


def measure(
    cfg: Config, device: str = "none", batch: int = 1, amp: str | None = None
) -> ModelStatistics:
    """Builds the model of a config and counts.

    Args:
        cfg: The config.
        device: 'none' runs shapes alone, without computing, by the operators of a GPU; else where
            the network runs.
        batch: Number of samples.
        amp: Half-precision type of autocast, such as 'bfloat16'.

    Raises:
        InvalidValueError: If there is no such device, or the config names what does not exist.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InvalidValueError("--device cuda: this machine has no GPU that PyTorch can use")
    real = torch.device("cpu" if device == "none" else device)
    model = load_model(cfg, None, real)
    inputs: Any = synthetic_inputs(model, tuple(cfg.input_size), batch, cfg.get("num_cameras", 1))
    shapes = {key: tuple(value.shape) for key, value in inputs.items()}
    cuda, seconds = real.type == "cuda", None
    with torch.no_grad(), contextlib.ExitStack() as stack:
        if amp is not None:
            stack.enter_context(torch.autocast(real.type, getattr(torch, amp)))
        if device == "none":
            mode, inputs = take_values_out(model, inputs)
            stack.enter_context(mode)
            stack.enter_context(gpu_operators())
        else:
            inputs = map_tensors(inputs, lambda tensor: tensor.to(real))
            # The first pass of a process also sets the libraries up.
            seconds = min(_time(model, inputs, real) for _ in range(3 if cuda else 1))
        given = [value for value in inputs.values() if isinstance(value, Tensor)]
        given += [*model.parameters(), *model.buffers()]
        counter = FlopCounterMode(
            display=False,
            custom_mapping={torch.ops.torchvision.deform_conv2d: _deformable_convolution_flops},
        )
        recorder = PartRecorder(model, counter, given, real if cuda else None)
        with counter, recorder:
            model(inputs, mode="tensor")
    recorder.finish()
    return _collect(model, recorder, shapes, seconds)


def _deformable_convolution_flops(
    volume: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any
) -> int:
    """Those of the convolution, from shapes; its samples' interpolation is not counted."""
    return 2 * math.prod(out_shape) * math.prod(weight[1:])


def _time(model: nn.Module, inputs: dict[str, Any], device: torch.device) -> float:
    start = time.perf_counter()
    model(inputs, mode="tensor")
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _collect(
    model: nn.Module,
    recorder: PartRecorder,
    shapes: dict[str, tuple[int, ...]],
    seconds: float | None,
) -> ModelStatistics:
    parts = []
    for name, child in (*model.named_children(), (REST, nn.Module())):
        given = list(child.parameters())
        trainable = sum(parameter.numel() for parameter in given if parameter.requires_grad)
        flops, peak = recorder.flops.get(name, 0), recorder.peaks.get(name, 0)
        # Losses and the data preprocessor take no part in a prediction.
        if given or flops:
            count = sum(parameter.numel() for parameter in given)
            parts.append(PartStatistics(name, count, trainable, flops, peak))
    total = PartStatistics(
        "total",
        sum(part.parameters for part in parts),
        sum(part.trainable for part in parts),
        sum(part.flops for part in parts),
        max(recorder.peaks.values()),
    )
    return ModelStatistics(parts, total, shapes, seconds)


def format_statistics(found: ModelStatistics) -> str:
    """Makes a table of the numbers."""
    table = PrettyTable(["part", "parameters (M)", "trainable (M)", "GFLOP", "share", "peak (MiB)"])
    table.align = "r"
    table.align["part"] = "l"
    rows = [*found.parts, found.total]
    for part in rows:
        table.add_row(
            [
                part.name,
                f"{part.parameters / 1e6:.3f}",
                f"{part.trainable / 1e6:.3f}",
                f"{part.flops / 1e9:,.1f}",
                f"{part.flops / max(found.total.flops, 1):.1%}",
                f"{part.peak_bytes / 2**20:,.0f}",
            ],
            divider=part is rows[-2],
        )
    lines = ["inputs      " + ", ".join(f"{k} {v}" for k, v in found.input_shapes.items())]
    if found.seconds is not None:
        lines.append(f"time        {found.seconds:.3f} s a forward pass")
    return "\n".join([*lines, str(table)])
