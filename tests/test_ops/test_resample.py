from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from htcl.ops import trilinear_resample


def _volume():
    torch.manual_seed(0)
    return torch.randn(2, 3, 4, 5, 3)


@pytest.mark.parametrize("size", [(4, 5, 3), (8, 10, 6), (16, 7, 2)])
def test_equals_the_library(size):
    expected = F.interpolate(_volume(), size, mode="trilinear", align_corners=False)
    torch.testing.assert_close(trilinear_resample(_volume(), size), expected)


@pytest.mark.parametrize("size", [(16, 20, 12), (4, 5, 3)])
@pytest.mark.parametrize(
    ("start", "stride"), [((0, 0, 0), 2), ((2, 0, 1), 3), ((1, 2, 0), 1), ((0, 0, 0), 1)]
)
def test_part_of_the_grid(size, start, stride):
    """Also where the volume has the size already."""
    whole = F.interpolate(_volume(), size, mode="trilinear", align_corners=False)
    part = whole[..., start[0] :: stride, start[1] :: stride, start[2] :: stride]
    made = trilinear_resample(_volume(), size, start, stride)
    torch.testing.assert_close(made, part)


def test_gradients():
    gradients = []
    weight = torch.randn(2, 3, 8, 10, 6)
    for resize in (
        lambda v: trilinear_resample(v, (8, 10, 6)),
        lambda v: F.interpolate(v, (8, 10, 6), mode="trilinear", align_corners=False),
    ):
        volume = _volume().requires_grad_()
        gradients += torch.autograd.grad((weight * resize(volume)).sum(), volume)
    torch.testing.assert_close(*gradients)


def test_one_axis_by_hand():
    """Two cells 0 and 1, four voxels: cell centres lie at 0.5 and 2.5 voxels."""
    volume = torch.tensor([0.0, 1.0]).view(1, 1, 2, 1, 1)
    made = trilinear_resample(volume, (4, 1, 1)).flatten()
    assert made.tolist() == [0.0, 0.25, 0.75, 1.0]


def test_stays_in_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        made = trilinear_resample(_volume().bfloat16(), (8, 10, 6))
    assert made.dtype == torch.float32
