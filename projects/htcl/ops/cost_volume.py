"""Stereo cost volume on depth planes.

A disparity volume holds, for each whole disparity i, the left features and the right features
shifted by i columns. The depth planes lie between whole disparities, so a plane is a linear
interpolation of two shifts. :func:`plane_cost_volume` writes the planes at once, two shifts each;
:func:`disparity_volume` and :func:`sample_planes_reference` are the definition in two steps, for
the tests.

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
from torch.nn import functional as F

VolumeSampling = Literal["exact", "released"]


def disparity_volume(left: Tensor, right: Tensor, num_disparities: int) -> Tensor:
    """Concatenates left features and shifted right features for each whole disparity.

    Args:
        left: (B, C, h, w).
        right: (B, C, h, w).
        num_disparities: N; disparities 0 .. N - 1 columns.

    Returns:
        (B, 2 C, N, h, w); columns that the shifted right view does not reach are zero in both
        halves.
    """
    batch, channels, height, width = left.shape
    volume = left.new_zeros(batch, 2 * channels, num_disparities, height, width)
    for shift in range(min(num_disparities, width)):
        volume[:, :channels, shift, :, shift:] = left[..., shift:]
        volume[:, channels:, shift, :, shift:] = right[..., : width - shift]
    return volume


def sample_planes_reference(
    volume: Tensor, disparity: Tensor, sampling: VolumeSampling = "exact"
) -> Tensor:
    """Samples a disparity volume at fractional disparities, as one ``grid_sample`` a sample.

    The picture that is sampled has the channels as columns and the disparities as rows. Its
    coordinates are normalised for ``align_corners=True``; sampling them with False, as the released
    code did under the torch that it pins, reads slightly off the places that were meant, along the
    channels too.

    Args:
        volume: (B, 2 C, N, h, w).
        disparity: (B, P) columns.
        sampling: ``exact`` is ``align_corners=True``, ``released`` is False.

    Returns:
        (B, 2 C, P, h, w).
    """
    channels, count = volume.shape[1:3]
    rows = []
    for sample, shifts in zip(volume, disparity.to(volume.dtype), strict=True):
        column = torch.linspace(-1, 1, channels, dtype=volume.dtype, device=volume.device)
        row = shifts * (2 / (count - 1)) - 1
        grid = torch.stack((column.expand(len(row), -1), row[:, None].expand(-1, channels)), dim=-1)
        picture = sample.permute(2, 3, 1, 0).flatten(0, 1)[None]  # (1, h w, N, 2 C)
        planes = F.grid_sample(picture, grid[None], align_corners=sampling == "exact")[0]
        rows.append(planes.unflatten(0, sample.shape[2:]).permute(3, 2, 0, 1))
    return torch.stack(rows)


def plane_cost_volume(
    left: Tensor,
    right: Tensor,
    disparity: Tensor,
    num_disparities: int,
    sampling: VolumeSampling = "exact",
) -> Tensor:
    """Builds the cost volume on planes of given disparities.

    Equal to sampling :func:`disparity_volume` with :func:`sample_planes_reference`, in a fraction
    of time and memory.

    Args:
        left: (B, C, h, w) features.
        right: (B, C, h, w) features.
        disparity: (B, P) disparity of each plane, columns of the feature map; not differentiated.
        num_disparities: N; a plane fades to zero beyond the disparities 0 .. N - 1.
        sampling: ``exact`` samples at the given disparities. ``released`` shifts both the
            disparities and the channels by up to half a step, see :func:`sample_planes_reference`.

    Returns:
        (B, 2 C, P, h, w).

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
    """Where ``align_corners=False`` reads a coordinate that was normalised for True.

    The axis has ``count`` samples.
    """
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
        batch, channels, height, width = left.shape
        ctx.taps = list(_taps(disparity, min(num_disparities, width)))
        ctx.channels = channels
        volume = left.new_zeros(batch, 2 * channels, disparity.shape[1], height, width)
        for sample, plane, shift, weight in ctx.taps:
            target = volume[sample, :, plane, :, shift:]
            target[:channels].add_(left[sample, ..., shift:], alpha=weight)
            target[channels:].add_(right[sample, ..., : width - shift], alpha=weight)
        return volume

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        batch, _, _, height, width = grad.shape
        left = grad.new_zeros(batch, ctx.channels, height, width)
        right = torch.zeros_like(left)
        for sample, plane, shift, weight in ctx.taps:
            source = grad[sample, :, plane, :, shift:]
            left[sample, ..., shift:].add_(source[: ctx.channels], alpha=weight)
            right[sample, ..., : width - shift].add_(source[ctx.channels :], alpha=weight)
        return left, right, None, None


def _taps(disparity: Tensor, limit: int) -> Iterator[tuple[int, int, int, float]]:
    """Yields (sample, plane, whole disparity, weight) of the neighbours of each plane."""
    for sample, planes in enumerate(disparity.tolist()):
        for plane, value in enumerate(planes):
            below = math.floor(value)
            for shift, weight in ((below, below + 1 - value), (below + 1, value - below)):
                if 0 <= shift < limit and weight > 0:
                    yield sample, plane, shift, weight
