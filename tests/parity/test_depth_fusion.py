"""Fusion of stereo and monocular depth against the released one."""

from __future__ import annotations

import torch

from htcl.checkpoint.released_depth import RULES
from htcl.models.depth import StereoDepthFusion


def test_probability(load_fixture, load_released_weights, assert_parity):
    fixture = load_fixture("volume_interaction")
    fusion = StereoDepthFusion(channels=32, num_groups=2)
    root = "img_view_transformer.volume_interaction"
    load_released_weights(fusion, fixture.meta, root, "depth_fusion", RULES)
    with torch.no_grad():
        prob = fusion(fixture.in_stereo, fixture.in_lss)
    assert_parity(prob, fixture.out_prob)
