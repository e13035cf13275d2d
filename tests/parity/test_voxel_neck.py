"""The voxel pyramid and the temporal fusion against the released neck, which does both."""

from __future__ import annotations

import pytest
import torch
from reference_operators import plain_attention
from torch import nn

from htcl.checkpoint.released_voxel import RULES
from htcl.models.necks import TemporalVoxelAttention, VoxelFPN


@pytest.fixture
def neck(load_fixture, load_released_weights):
    fixture = load_fixture("fpn3d_fusion")
    parts = nn.ModuleDict({"voxel_neck": VoxelFPN(), "temporal_fusion": TemporalVoxelAttention()})
    load_released_weights(parts, fixture.meta, fixture.meta["root"], "", RULES)
    return parts, fixture


def test_attention_and_fusion(neck, assert_parity):
    parts, fixture = neck
    maps = [fixture.in_feats_0, fixture.in_feats_1, fixture.in_feats_2]
    with torch.no_grad():
        voxel = parts["voxel_neck"](maps)
        attention = plain_attention(parts["temporal_fusion"], voxel, fixture.in_temporal)
        fused = parts["temporal_fusion"](voxel, fixture.in_temporal)
    assert_parity(attention[:, ::4], fixture.out_attention)
    assert_parity(fused[:, ::2], fixture.out_fused)
