"""From a batch to what the network and its temporal modules see of each moment.

Shape letters: B batch, N camera, M = B * N image, T frame, H W image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from htcl.models.interfaces import Batch, FrameInputs, HistoryInputs


def present_frame(batch: Batch) -> FrameInputs:
    """The present, all cameras of all samples in a row."""
    named: Mapping[str, Any] = batch
    names = ("right", "focal_baseline", "depth_prior")
    beside = {name: named[name].flatten(0, 1) for name in names if name in named}
    return FrameInputs(batch["images"].flatten(0, 1), batch["cameras"].flatten(), **beside)


def history_inputs(batch: Batch, normalise: Callable[[Tensor], Tensor]) -> HistoryInputs:
    """The past; ``normalise`` makes network images of grey values."""
    motion = batch.get("current_from_history")
    return HistoryInputs(
        images=batch["history"].transpose(1, 2).flatten(0, 1),
        current=batch["current"].flatten(0, 1),
        camera=batch["history_cameras"].flatten(),
        current_from_history=None if motion is None else motion.transpose(1, 2).flatten(0, 1),
        frames=partial(_past_frames, batch, normalise),
    )


def _past_frames(
    batch: Batch, normalise: Callable[[Tensor], Tensor], places: Sequence[int]
) -> FrameInputs:
    """Earlier frames at places among the T - 1, as the network sees the present one."""
    named: Mapping[str, Any] = batch

    def moments(name: str) -> Tensor | None:
        if name not in named:
            return None
        return torch.cat([named[name][:, place].flatten(0, 1) for place in places])

    images, right = moments("history"), moments("history_right")
    assert images is not None  # what every temporal module needs
    fixed = batch.get("focal_baseline")
    return FrameInputs(
        images=normalise(images),
        camera=batch["history_cameras"].flatten().repeat(len(places)),
        right=None if right is None else normalise(right),
        focal_baseline=None if fixed is None else torch.cat([fixed.flatten()] * len(places)),
        depth_prior=moments("history_depth_prior"),
    )
