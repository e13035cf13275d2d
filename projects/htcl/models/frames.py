"""From a batch to what the network and its temporal modules see of each moment.

Shape letters: B batch, N camera, M = B * N image, T frame, H W image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

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
        frame=partial(_past_frame, batch, normalise),
    )


def _past_frame(batch: Batch, normalise: Callable[[Tensor], Tensor], place: int) -> FrameInputs:
    """The earlier frame at a place among the T - 1, as the network sees the present one."""
    named: Mapping[str, Any] = batch

    def moment(name: str) -> Tensor | None:
        return named[name][:, place].flatten(0, 1) if name in named else None

    right = moment("history_right")
    return replace(
        present_frame(batch),
        images=normalise(batch["history"][:, place].flatten(0, 1)),
        camera=batch["history_cameras"].flatten(),
        right=None if right is None else normalise(right),
        depth_prior=moment("history_depth_prior"),
    )
