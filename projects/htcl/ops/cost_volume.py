"""Stereo cost volume on depth planes.

A disparity volume V[:, i] = (left, right shifted by i columns) has a slice for each whole disparity
i, zero in columns that the shifted view does not reach. The depth planes lie between: that of
disparity x is (1 - f) V[:, i] + f V[:, i + 1] with i = floor(x), f = x - i, written without V.

Sources: "End-to-End Learning of Geometry and Context for Deep Stereo Regression" (A. Kendall et
al., ICCV 2017), section 3.2, for the concatenation volume; "Bridging Stereo Geometry and BEV
Representation with Reliable Mutual Interaction for Semantic Scene Completion" (StereoScene, B. Li
et al., IJCAI 2024) for its use on depth planes.

Shape letters: B batch, C channel of one view, P depth plane, N whole disparity, h w feature map.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from htcl.ops.device import standard_only, suits_gpu

VolumeSampling = Literal["exact", "released"]


def plane_cost_volume(
    left: Tensor,
    right: Tensor,
    disparity: Tensor,
    num_disparities: int,
    sampling: VolumeSampling = "exact",
) -> Tensor:
    """Cost volume (B, 2 C, P, h, w) of features (B, C, h, w) on planes of given disparities.

    Args:
        left: Features of the left view.
        right: Features of the right view.
        disparity: (B, P) disparity of each plane, columns of the feature map; not differentiated.
        num_disparities: N; a plane fades to zero beyond the disparities 0 .. N - 1.
        sampling: ``exact`` samples at the given disparities. ``released`` reads disparities and
            channels, both normalised for ``align_corners=True``, with False, as the released code
            does under the torch that it pins: up to half a step beside the place meant.

    Raises:
        ValueError: If the two views differ in shape or there are less than two disparities.
    """
    if left.shape != right.shape or left.dim() != 4:
        raise ValueError(
            f"left and right features must be (B, C, h, w) alike, got {tuple(left.shape)} and "
            f"{tuple(right.shape)}"
        )
    if num_disparities < 2:
        raise ValueError(f"num_disparities must be at least 2, got {num_disparities}")
    disparity = disparity.detach().double()
    if sampling == "released":
        disparity = _shrunk(disparity, num_disparities)
        # Seen from the middle of the 2 C channels the mix never crosses from one view to the other,
        # so it can be done on the small 2D maps.
        left, right = _mix_channels(left, right)
    return _PlaneVolume.apply(left, right, disparity, num_disparities)


def _shrunk(coordinate: Tensor, count: int) -> Tensor:
    """Where ``align_corners=False`` reads a coordinate normalised for True on ``count`` samples."""
    return coordinate * (count / (count - 1)) - 0.5


def _mix_channels(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Interpolates between neighbouring channels; beyond the first and last one is zero."""
    channels = 2 * left.shape[1]
    position = _shrunk(torch.arange(channels, device=left.device, dtype=torch.float64), channels)
    source = torch.arange(channels, device=left.device)
    weight = (1 - (position[:, None] - source).abs()).clamp(min=0).to(left.dtype)
    half = channels // 2
    return (
        torch.einsum("oc,bchw->bohw", weight[:half, :half], left),
        torch.einsum("oc,bchw->bohw", weight[half:, half:], right),
    )


class _PlaneVolume(torch.autograd.Function):
    """The planes, two weighted shifts each; the backward pass needs the disparities only."""

    @staticmethod
    def forward(
        ctx: Any, left: Tensor, right: Tensor, disparity: Tensor, num_disparities: int
    ) -> Tensor:
        shifts = _Gathers if suits_gpu(left) or standard_only() else _Slices
        ctx.shifts = shifts(disparity, num_disparities, left.shape[3])
        return ctx.shifts.volume(left, right)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        left, right = ctx.shifts.transposed(grad)
        return left, right, None, None


class _Slices:
    """Shifts as slices, added one by one: needs the disparities on the host; for a CPU."""

    def __init__(self, disparity: Tensor, num_disparities: int, width: int) -> None:
        self.width = width
        self.planes = disparity.shape[1]
        self.taps = list(_taps(disparity, min(num_disparities, width)))

    def volume(self, left: Tensor, right: Tensor) -> Tensor:
        """Features (B, C, h, w) of both views -> (B, 2 C, P, h, w)."""
        batch, channels, height, width = left.shape
        volume = left.new_zeros(batch, 2 * channels, self.planes, height, width)
        for sample, plane, shift, weight in self.taps:
            target = volume[sample, :, plane, :, shift:]
            target[:channels].add_(left[sample, ..., shift:], alpha=weight)
            target[channels:].add_(right[sample, ..., : width - shift], alpha=weight)
        return volume

    def transposed(self, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient (B, 2 C, P, h, w) of the volume -> those of the two views."""
        batch, channels, _, height, width = grad.shape
        channels //= 2
        left = grad.new_zeros(batch, channels, height, width)
        right = torch.zeros_like(left)
        for sample, plane, shift, weight in self.taps:
            source = grad[sample, :, plane, :, shift:]
            left[sample, ..., shift:].add_(source[:channels], alpha=weight)
            right[sample, ..., : width - shift].add_(source[channels:], alpha=weight)
        return left, right


class _Gathers:
    """The same for a GPU: all planes in a few kernels, the disparities stay on the device."""

    def __init__(self, disparity: Tensor, num_disparities: int, width: int) -> None:
        below = disparity.floor()
        fraction = disparity - below
        limit = min(num_disparities, width)
        columns = torch.arange(width, device=disparity.device)
        # For each of the two whole disparities beside a plane: (B, P, w) its weight at each column
        # of the left view, 0 where the right one ends, and the column of the right view.
        self.weights: list[Tensor] = []
        self.sources: list[Tensor] = []
        # And the other way: the column of the left view that a column of the right one goes to.
        self.back_weights: list[Tensor] = []
        self.targets: list[Tensor] = []
        for shift, share in ((below, 1 - fraction), (below + 1, fraction)):
            known = (shift >= 0) & (shift < limit)
            weight = torch.where(known, share, 0.0)[..., None]
            moved = shift.clamp(-1, width).long()[..., None]
            self.weights.append(torch.where(columns >= moved, weight, 0.0))
            self.sources.append((columns - moved).clamp(0, width - 1))
            self.back_weights.append(torch.where(columns + moved < width, weight, 0.0))
            self.targets.append((columns + moved).clamp(0, width - 1))

    def volume(self, left: Tensor, right: Tensor) -> Tensor:
        """As :meth:`_Slices.volume`."""
        weights = [_to_volume(weight, left.dtype) for weight in self.weights]
        views = [left[:, :, None] * (weights[0] + weights[1])]
        planes = right[:, :, None]
        parts = [torch.take_along_dim(planes, _to_volume(source), 4) for source in self.sources]
        views.append(parts[0].mul_(weights[0]).addcmul_(parts[1], weights[1]))
        return torch.cat(views, dim=1)

    def transposed(self, grad: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`_Slices.transposed`."""
        left, right = grad.chunk(2, dim=1)
        weights = [_to_volume(weight, grad.dtype) for weight in self.weights]
        back = [_to_volume(weight, grad.dtype) for weight in self.back_weights]
        parts = [torch.take_along_dim(right, _to_volume(target), 4) for target in self.targets]
        moved = parts[0].mul_(back[0]).addcmul_(parts[1], back[1])
        return (left * (weights[0] + weights[1])).sum(dim=2), moved.sum(dim=2)


def _to_volume(planes: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """(B, P, w) beside volumes: (B, 1, P, 1, w)."""
    return planes[:, None, :, None].to(planes.dtype if dtype is None else dtype)


def _taps(disparity: Tensor, limit: int) -> Iterator[tuple[int, int, int, float]]:
    """Yields (sample, plane, whole disparity, weight) of the neighbours of each plane."""
    for sample, planes in enumerate(disparity.tolist()):
        for plane, value in enumerate(planes):
            below = math.floor(value)
            for shift, weight in ((below, below + 1 - value), (below + 1, value - below)):
                if 0 <= shift < limit and weight > 0:
                    yield sample, plane, shift, weight
