from __future__ import annotations

import pytest
import torch

from htcl.models.necks import TemporalVoxelAttention, VoxelFPN

MAPS = [(1, 8, 8, 8, 4), (1, 16, 4, 4, 2), (1, 32, 2, 2, 1)]


def _mini():
    return VoxelFPN(in_channels=(8, 16, 32), out_channels=8, num_groups=4)


def test_concatenates_on_the_first_maps_grid():
    assert _mini()([torch.randn(shape) for shape in MAPS]).shape == (1, 24, 8, 8, 4)


def test_each_coarse_voxel_fills_its_own_block():
    """With an all-ones kernel, the transposed convolution repeats each value stride times."""
    neck = VoxelFPN(in_channels=(1,), out_channels=1, upsample_strides=(2,), num_groups=1)
    neck.levels[0].conv.weight.data.fill_(1.0)
    coarse = torch.rand(1, 1, 2, 3, 2)
    repeated = coarse
    for axis in (2, 3, 4):
        repeated = repeated.repeat_interleave(2, dim=axis)
    expected = ((repeated - repeated.mean()) / repeated.std(unbiased=False)).relu()
    torch.testing.assert_close(neck([coarse]), expected, rtol=1e-3, atol=1e-3)


def test_full_size_parameter_count_with_the_fusion_is_the_released_necks():
    parts = (VoxelFPN(), TemporalVoxelAttention())
    assert sum(p.numel() for part in parts for p in part.parameters()) == 4_482_433


def test_errors_name_the_problem():
    with pytest.raises(ValueError, match="one factor for each map"):
        VoxelFPN(in_channels=(8, 16))
    with pytest.raises(ValueError, match="3 levels but got 2"):
        _mini()([torch.randn(shape) for shape in MAPS[:2]])
    odd = [torch.randn(1, 8, 6, 6, 4), torch.randn(1, 16, 3, 3, 2), torch.randn(1, 32, 3, 2, 1)]
    with pytest.raises(ValueError, match="multiple of 4"):
        _mini()(odd)


def test_what_lies_beyond_the_grid_is_cut_off():
    """Ten voxels become five and three; the last two of the twelve that come back are no voxels."""
    torch.manual_seed(0)
    neck = _mini().eval()
    maps = [torch.randn(1, 8, 4, 4, 10), torch.randn(1, 16, 2, 2, 5), torch.randn(1, 32, 1, 1, 3)]
    found = neck(maps)
    assert found.shape[2:] == (4, 4, 10)
    whole = neck.levels[2](maps[2])
    torch.testing.assert_close(found[:, -whole.shape[1] :], whole[..., :10])
