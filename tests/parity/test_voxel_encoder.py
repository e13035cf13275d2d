"""The voxel encoder against the released ResNet3D."""

from __future__ import annotations

import torch

from htcl.checkpoint.released_voxel import RULES
from htcl.models.backbones import VoxelResNet3D


def test_voxel_encoder(load_fixture, load_released_weights, assert_parity):
    fixture = load_fixture("resnet3d")
    encoder = VoxelResNet3D()
    load_released_weights(encoder, fixture.meta, fixture.meta["root"], "voxel_encoder", RULES)
    with torch.no_grad():
        maps = encoder(fixture.in_x)
    assert_parity(maps[0][:, ::2], fixture.out_s0)
    assert_parity(maps[1], fixture.out_s1)
    assert_parity(maps[2], fixture.out_s2)
