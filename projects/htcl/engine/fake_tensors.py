"""Networks and batches of tensors without values: shapes, dtypes and devices alone.

Such a network runs in seconds whatever its size, on a machine that has neither its memory nor its
device. It must know every shape beforehand: an operator whose result's size depends on values, or
a value that is read by the host, raises an error of :mod:`torch._subclasses.fake_tensor`.

Shape letters: B batch, N camera, H W image, P point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from htcl.models.interfaces import Batch

# Lidar points in the grid in a frame of KITTI (00/000000 has 62,724).
_POINTS = 62_000


def map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same batch, camera or sample with other tensors."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: map_tensors(part, change) for key, part in value.items()}
    if isinstance(value, list):
        return [map_tensors(part, change) for part in value]
    if isinstance(value, BaseDataElement):
        return value.new(**{key: map_tensors(part, change) for key, part in value.items()})
    if is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: map_tensors(getattr(value, f.name), change) for f in fields(value)}
        return replace(value, **parts)
    return value


def take_values_out(
    model: nn.Module, batch: Any, device: str = "cpu"
) -> tuple[FakeTensorMode, Any]:
    """Makes the tensors of a model fake, in place, and those of a batch.

    Args:
        model: Any model on the CPU.
        batch: A batch, or arguments of the model.
        device: Where the fake tensors are said to be; it need not exist. Backward passes run on
            the CPU alone.

    Returns:
        The context in which the model runs, and the batch.
    """
    # A model may hold tensors that are neither parameters nor buffers.
    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def fake(tensor: Tensor) -> Tensor:
        made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)
        if isinstance(tensor, nn.Parameter):
            return nn.Parameter(made, requires_grad=tensor.requires_grad)
        return made

    with mode:
        for module in model.modules():
            groups: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
            for tensors in groups:
                tensors |= {k: fake(v) for k, v in tensors.items() if v is not None}
        return mode, map_tensors(batch, fake)


def add_targets(model: Any, batch: Batch) -> tuple[Batch, list[Det3DDataSample]]:
    """Adds what a training step needs, full of zeros, on the CPU.

    Args:
        model: An HTCL network.
        batch: Images (B, N, 3, H, W) and cameras.

    Returns:
        The batch with depth maps (B, N, H, W) and P points a sample, and samples with labels.
    """
    count, cameras, _, height, width = batch["images"].shape
    batch = batch.copy()
    batch["depth_maps"] = torch.zeros(count, cameras, height, width)
    batch["points"] = [torch.zeros(_POINTS, 3) for _ in range(count)]
    batch["point_labels"] = [torch.zeros(_POINTS, dtype=torch.long) for _ in range(count)]
    batch["point_uvd"] = [torch.zeros(cameras, _POINTS, 3) for _ in range(count)]
    samples = []
    for _ in range(count):
        labels = torch.zeros(model.specification.grid.shape, dtype=torch.uint8)
        masks = {name: labels.bool() for name in filter(None, [model.label_mask])}
        samples.append(Det3DDataSample(gt_voxels=BaseDataElement(semantics=labels, **masks)))
    return batch, samples
