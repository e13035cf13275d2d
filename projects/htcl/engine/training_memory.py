"""Memory of a training step, estimated from shapes on a machine without a GPU.

The step runs on fake CPU tensors by the operators of a GPU, and the tensors alive at once are added
up. Autocast on the CPU casts other operators than on a GPU, but the sum hardly differs: with fake
CUDA tensors, whose forward pass can be run as well, it is the same to 0.3 %. Not counted: CUDA's
own memory, the workspace of convolutions, and what the allocator cannot fill.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from htcl.engine.fake_tensors import add_targets, take_values_out
from htcl.engine.part_recorder import PartRecorder
from htcl.engine.runner import load_model
from htcl.engine.synthetic_input import synthetic_inputs
from htcl.ops import gpu_operators

_GIB = 2**30
# A common GPU, and room in it for what is not counted.
_GPU, _RESERVE = 24 * _GIB, 2 * _GIB


@dataclass
class TrainingMemory:
    """Memory of a training step with AdamW.

    Attributes:
        held_bytes: Weights, gradients and the optimiser's two moments, between two steps.
        peak_bytes: Largest memory, in the forward and the backward pass.
        peak_part: The part of the model that ran then.
        fits: Whether a GPU of 24 GiB has room for it and 2 GiB that are not counted.
    """

    held_bytes: int
    peak_bytes: int
    peak_part: str
    fits: bool


class _HostDraws(TorchDispatchMode):
    """Lets the host draw real numbers, which may steer shapes: the first voxel of a stride."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if func is torch.ops.aten.randint.default:
            with unset_fake_temporarily():
                return func(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def estimate_training_memory(cfg: Config, batch: int = 1, amp: str | None = None) -> TrainingMemory:
    """Runs shapes alone through forward and backward pass.

    Args:
        cfg: The config; its ``model.checkpointing`` counts.
        batch: Number of samples.
        amp: Half-precision type of autocast, such as 'bfloat16'.

    Raises:
        InvalidValueError: If the config names what does not exist.
    """
    model = load_model(cfg, None)
    inputs = synthetic_inputs(model, tuple(cfg.input_size), batch, cfg.get("num_cameras", 1))
    mode, (inputs, samples) = take_values_out(model, list(add_targets(model, inputs)))
    model.train()
    precision = torch.autocast("cpu", getattr(torch, amp)) if amp else nullcontext()
    with mode, gpu_operators():
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        moments = [torch.empty_like(parameter) for parameter in 2 * trained]
        given = [*_tensors(inputs), *model.parameters(), *model.buffers(), *moments]
        recorder = PartRecorder(model, FlopCounterMode(display=False), given, None)
        with recorder, _HostDraws():
            with precision:
                losses = model(inputs, samples, mode="loss")
            sum(value for name, value in losses.items() if "loss" in name).backward()
    peak_part, peak = max(recorder.peaks.items(), key=lambda entry: entry[1])
    held = sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])
    held += 3 * sum(parameter.nbytes for parameter in trained)
    return TrainingMemory(held, peak, peak_part, peak + _RESERVE <= _GPU)


def format_training(estimates: dict[str, TrainingMemory], batch: int, amp: str | None) -> str:
    """Lines about one training step.

    Args:
        estimates: By what is said of their checkpointing; not empty.
        batch: Number of samples.
        amp: Half-precision type of autocast.
    """
    held = next(iter(estimates.values())).held_bytes / _GIB
    lines = [
        f"training    step with AdamW, batch {batch}, {amp or 'float32'}; estimated from shapes",
        f"  {'weights, gradients, moments':<33}{held:6.2f} GiB",
    ]
    for name, found in estimates.items():
        verdict = "fits in 24 GiB" if found.fits else "does not fit in 24 GiB"
        size = f"{found.peak_bytes / _GIB:6.2f} GiB"
        lines.append(f"  peak, {name:<27}{size} in {found.peak_part}: {verdict}")
    return "\n".join(lines)


def _tensors(batch: Any) -> list[Tensor]:
    return [value for value in batch.values() if isinstance(value, Tensor)]
