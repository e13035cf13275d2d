"""Summation of frustum features into voxels."""

from __future__ import annotations

import pytest
import torch
from reference_operators import plain_lift_splat, plain_pool_cells

from htcl.ops import build_splat_index, lift_splat, pool_cells

GRID = (2, 3, 2)


@pytest.fixture
def random_case(operators):
    """Two samples of three cameras, a fifth of the cells dropped; float64 for gradient checks."""
    generator = torch.Generator().manual_seed(0)
    voxels = torch.randint(0, 12, (2, 3, 4, 2, 3), generator=generator)
    voxels[torch.rand(voxels.shape, generator=generator) < 0.2] = -1
    depth = torch.rand(6, 4, 2, 3, generator=generator, dtype=torch.float64)
    context = torch.randn(6, 5, 2, 3, generator=generator, dtype=torch.float64)
    volume = torch.randn(6, 5, 4, 2, 3, generator=generator, dtype=torch.float64)
    return build_splat_index(voxels, GRID), depth, context, volume


def test_sum_by_hand(operators):
    """Pixels a, b with two depths: cell (0, a) and (1, b) share voxel 1; (0, b) is dropped."""
    voxels = torch.tensor([[[[[1, -1]], [[0, 1]]]]])
    index = build_splat_index(voxels, (1, 1, 2))
    depth = torch.tensor([[[[0.25, 0.5]], [[0.75, 0.5]]]])
    context = torch.tensor([[[[4.0, 10.0]], [[8.0, 20.0]]]])
    expected = torch.tensor([[3.0, 1.0 + 5.0], [6.0, 2.0 + 10.0]]).reshape(1, 2, 1, 1, 2)
    torch.testing.assert_close(lift_splat(depth, context, index), expected)


def test_index_orders_cells_by_voxel_and_position():
    index = build_splat_index(torch.tensor([[[[[3, 0, -1]], [[0, 3, 1]]]]]), (1, 2, 2))
    assert index.cells.tolist() == [1, 3, 5, 0, 4]
    assert index.pixels.tolist() == [1, 0, 2, 0, 1]
    assert index.starts.tolist() == [0, 2, 3, 3, 5]


def test_cameras_of_a_sample_add_up(random_case):
    """The sums of each camera alone, over the cameras; the samples stay apart."""
    index, depth, context, volume = random_case
    alone = [
        build_splat_index(index.voxel_of_cell[b : b + 1, n : n + 1], GRID)
        for b in range(2)
        for n in range(3)
    ]
    lifted = [lift_splat(depth[[m]], context[[m]], alone[m]) for m in range(6)]
    pooled = [pool_cells(volume[[m]], alone[m]) for m in range(6)]
    for parts, whole in (
        (lifted, lift_splat(depth, context, index)),
        (pooled, pool_cells(volume, index)),
    ):
        assert whole.shape == (2, 5, *GRID)
        expected = torch.cat(parts).unflatten(0, (2, 3)).sum(dim=1)
        torch.testing.assert_close(whole, expected)


def test_equals_definition(random_case):
    index, depth, context, volume = random_case
    torch.testing.assert_close(
        lift_splat(depth, context, index), plain_lift_splat(depth, context, index)
    )
    torch.testing.assert_close(pool_cells(volume, index), plain_pool_cells(volume, index))


def test_more_channels_than_one_pass(random_case):
    index = random_case[0]
    volume = torch.randn(6, 37, 4, 2, 3)
    torch.testing.assert_close(pool_cells(volume, index), plain_pool_cells(volume, index))


def test_gradients(random_case):
    index, depth, context, volume = random_case
    depth, context = depth.requires_grad_(), context.requires_grad_()
    assert torch.autograd.gradcheck(lambda d, c: lift_splat(d, c, index), (depth, context))
    assert torch.autograd.gradcheck(lambda v: pool_cells(v, index), (volume.requires_grad_(),))


def test_one_index_serves_both_poolings_of_a_graph(random_case):
    index, depth, context, volume = random_case
    inputs = [t.requires_grad_() for t in (depth, context, volume)]

    def total(splat, pool):
        out = splat(depth, context, index) * pool(volume, index) + splat(depth, context, index)
        return torch.autograd.grad(out.square().sum(), inputs)

    actual = total(lift_splat, pool_cells)
    expected = total(plain_lift_splat, plain_pool_cells)
    for one, two in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, two)


def test_no_cell_in_the_grid():
    index = build_splat_index(torch.full((2, 1, 3, 1, 2), -1), GRID)
    depth = torch.rand(2, 3, 1, 2, requires_grad=True)
    context = torch.rand(2, 4, 1, 2, requires_grad=True)
    grid = lift_splat(depth, context, index)
    assert grid.shape == (2, 4, *GRID)
    assert not grid.any()
    grid.sum().backward()
    assert not depth.grad.any()
    assert not context.grad.any()
    assert not pool_cells(torch.rand(2, 4, 3, 1, 2), index).any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    """257 ones: bfloat16 itself cannot count beyond 256."""
    index = build_splat_index(torch.zeros(1, 1, 257, 1, 1, dtype=torch.long), (1, 1, 1))
    ones = torch.ones(1, 257, 1, 1, dtype=dtype)
    for grid in (
        lift_splat(ones, ones[:, :1], index),
        pool_cells(ones[:, None], index),
    ):
        assert grid.dtype == torch.float32
        assert grid.item() == 257


def test_wrong_shape_names_both(random_case):
    index, depth, context, volume = random_case
    with pytest.raises(ValueError, match=r"depth_prob .*\(6, 3, 2, 3\).*\(6, 4, 2, 3\)"):
        lift_splat(depth[:, 1:], context, index)
    with pytest.raises(ValueError, match=r"context .*\(6, 4, 2, 2\)"):
        lift_splat(depth, context[..., 1:], index)
    with pytest.raises(ValueError, match="volume"):
        pool_cells(volume[:2], index)
