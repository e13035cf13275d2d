"""Regression of where each voxel's label ends, in six directions.

The idea is that of VoxDet (Li and others, 2025): a voxel that knows how far its object reaches to
every side is a box, so that instances become whole.

Shape letters: B batch, X Y Z label voxel, x y z sampled voxel.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor

from htcl.errors import InvalidValueError
from htcl.losses.loss import Loss

# Forward and backward along each of three axes.
NUM_DIRECTIONS = 6


@MODELS.register_module()
class BoundaryDistance(Loss):
    """Mean absolute error of the distances of occupied voxels, in voxels of the labels.

    Distances above ``reach`` count as ``reach``. Not scored are voxels that are empty or unknown,
    and directions in which the label runs into an unknown voxel or out of the grid within
    ``reach``, since nobody knows where it ends there.

    Args:
        empty_class: Class of empty voxels.
        ignore_index: Label of unknown voxels.
        reach: Largest distance, voxels of the labels.
        weight, name: See :class:`Loss`.

    Raises:
        InvalidValueError: If ``reach`` is not positive.
    """

    on = "boundaries"
    default_name = "boundary"

    def __init__(
        self,
        empty_class: int,
        ignore_index: int,
        reach: float = 16.0,
        weight: float = 1.0,
        name: str | None = None,
    ) -> None:
        super().__init__(weight, name)
        if reach <= 0:
            raise InvalidValueError(f"BoundaryDistance(reach={reach}): give a positive number")
        self.empty_class = empty_class
        self.ignore_index = ignore_index
        self.reach = float(reach)

    def forward(
        self, distance: Tensor, labels: Tensor, start: Sequence[int] = (0, 0, 0), stride: int = 1
    ) -> Tensor:
        """Distances (B, 6, x, y, z) at every ``stride``-th voxel from ``start`` on -> scalar.

        ``labels`` (B, X, Y, Z) are all of the grid. 0, attached to the graph, if none is scored.
        """
        target, known = boundary_distances(labels, self.ignore_index)
        x, y, z = (slice(first, None, stride) for first in start)
        labels, target, known = (value[..., x, y, z] for value in (labels, target, known))
        occupied = (labels != self.empty_class) & (labels != self.ignore_index)
        scored = occupied[:, None] & (known | (target >= self.reach))
        error = (distance.float().clamp(max=self.reach) - target.clamp(max=self.reach)).abs()
        return torch.where(scored, error, 0).sum() / scored.sum().clamp_min(1)


def boundary_distances(labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """How far each voxel's centre is from the face behind which the label is another.

    Args:
        labels: Labels (B, X, Y, Z).
        ignore_index: Label of unknown voxels.

    Returns:
        Distances (B, 6, X, Y, Z), voxels: forward and backward along X, then Y, then Z; float32.
        Whether there is a known voxel behind that face (B, 6, X, Y, Z).
    """
    distances, known = [], []
    for axis in (1, 2, 3):
        for backward in (False, True):
            run = labels.flip(axis) if backward else labels
            pair = _distances_forward(run.movedim(axis, -1), ignore_index)
            distance, follows = (value.movedim(-1, axis) for value in pair)
            distances.append(distance.flip(axis) if backward else distance)
            known.append(follows.flip(axis) if backward else follows)
    return torch.stack(distances, dim=1), torch.stack(known, dim=1)


def _distances_forward(labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Along the last axis: to the last voxel of each run, and whether a known one follows."""
    count = labels.shape[-1]
    places = torch.arange(count, device=labels.device)
    ends = torch.ones_like(labels, dtype=torch.bool)
    ends[..., :-1] = labels[..., 1:] != labels[..., :-1]
    # The first end at or after each voxel: the smallest so far, coming from behind.
    candidates = torch.where(ends, places, count)
    end = candidates.flip(-1).cummin(dim=-1).values.flip(-1)
    follows = torch.zeros_like(ends)
    follows[..., :-1] = labels[..., 1:] != ignore_index
    return (end - places + 0.5).float(), follows.gather(-1, end)
