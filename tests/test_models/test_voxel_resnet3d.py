from __future__ import annotations

import pytest
import torch

from htcl.models.backbones import VoxelResNet3D

MINI = {"in_channels": 16, "widths": (16, 32, 64), "strides": (1, 2, 2), "num_groups": 8}


def test_grids_follow_the_strides():
    maps = VoxelResNet3D(**MINI)(torch.randn(2, 16, 8, 8, 4))
    assert [tuple(m.shape) for m in maps] == [(2, 16, 8, 8, 4), (2, 32, 4, 4, 2), (2, 64, 2, 2, 1)]


def test_full_size_parameter_count_is_the_released_one():
    assert sum(p.numel() for p in VoxelResNet3D().parameters()) == 32_924_416


def test_a_block_with_zero_gain_is_the_rectified_identity():
    encoder = VoxelResNet3D(in_channels=8, widths=(8,), strides=(1,), num_groups=2)
    for block in encoder.stages[0]:
        block.conv2.gn.weight.data.zero_()
        block.conv2.gn.bias.data.zero_()
    x = torch.randn(1, 8, 4, 4, 2)
    torch.testing.assert_close(encoder(x)[0], encoder.input_proj(x).relu())


def test_one_stride_for_each_stage():
    with pytest.raises(ValueError, match="one stride for each stage"):
        VoxelResNet3D(widths=(32, 64), strides=(1, 2, 2))
