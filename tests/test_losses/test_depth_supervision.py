"""Lidar supervision of the depth distribution."""

from __future__ import annotations

import math

import pytest
import torch

from htcl.losses.depth_supervision import DepthSupervision

BINS = {"start": 2.0, "stop": 58.0, "step": 0.5}


def one_cell(depth: float) -> torch.Tensor:
    depth_map = torch.zeros(1, 8, 8)
    depth_map[0, 3, 5] = depth
    return depth_map


def test_nearest_return_of_a_block():
    depth_map = torch.zeros(1, 8, 16)
    depth_map[0, 0, 0], depth_map[0, 7, 7] = 30.0, 10.0
    assert DepthSupervision(BINS).target(depth_map, (1, 2)).tolist() == [[[16, -1]]]


@pytest.mark.parametrize("bin_number", [0, 1, 40, 111])
def test_bin_is_centred_on_its_depth(bin_number):
    loss = DepthSupervision(BINS)
    assert loss.first_edge == 1.75
    depth = 2 + 0.5 * bin_number
    for offset in (-0.25, 0, 0.24):
        assert loss.target(one_cell(depth + offset), (1, 1)).item() == bin_number


def test_released_edge_is_half_a_bin_late():
    loss = DepthSupervision(BINS, first_edge=2.25)
    # Bin c covers [2.25, 2.75) + 0.5 c.
    cases = {2.24: -1, 2.25: 0, 2.74: 0, 2.75: 1, 57.75: 111, 58.24: 111, 58.25: -1}
    for depth, expected in cases.items():
        assert loss.target(one_cell(depth), (1, 1)).item() == expected


def test_value_by_hand():
    """Two labelled cells of four bins; the third cell does not count."""
    loss = DepthSupervision({"start": 2.0, "stop": 6.0, "step": 1.0}, weight=3.0)
    assert loss.weight == 3
    depth_map = torch.zeros(1, 8, 24)
    depth_map[0, 0, 0], depth_map[0, 0, 8] = 2.0, 5.0
    prob = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.4, 0.3, 0.2, 0.1], [1.0, 0, 0, 0]])
    prob = prob.t().reshape(1, 4, 1, 3).requires_grad_()
    first = -math.log(0.7) - 3 * math.log(0.9)
    second = -math.log(0.1) - math.log(0.6) - math.log(0.7) - math.log(0.8)
    value = loss(prob, depth_map)
    assert value.item() == pytest.approx((first + second) / 2, rel=1e-5)
    value.backward()
    assert not prob.grad[..., 2].any()
    assert prob.grad[..., :2].all()


def test_a_cell_is_as_large_as_the_map_says():
    """Blocks of 4 x 2 pixels; the second row of cells has no return."""
    depth_map = torch.zeros(1, 8, 4)
    depth_map[0, 3, 1], depth_map[0, 0, 2] = 10.0, 20.0
    assert DepthSupervision(BINS).target(depth_map, (2, 2)).tolist() == [[[16, 36], [-1, -1]]]


def test_no_label():
    prob = torch.rand(2, 112, 1, 1).softmax(1).requires_grad_()
    value = DepthSupervision(BINS)(prob, torch.zeros(2, 8, 8))
    assert value.item() == 0
    value.backward()
    assert not prob.grad.any()


def test_runs_in_float32_under_autocast():
    prob = torch.rand(1, 112, 1, 1).softmax(1)
    loss = DepthSupervision(BINS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(prob.bfloat16(), one_cell(20.0))
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(prob, one_cell(20.0)), rtol=0.02, atol=0)


def test_errors():
    loss = DepthSupervision(BINS)
    with pytest.raises(ValueError, match=r"\(1, 2\) does not divide .*\(8, 15\)"):
        loss.target(torch.zeros(1, 8, 15), (1, 2))
    with pytest.raises(ValueError, match=r"\(1, 112\)"):
        loss(torch.rand(1, 100, 1, 1), torch.zeros(1, 8, 8))
