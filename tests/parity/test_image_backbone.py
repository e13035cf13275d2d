"""The library's EfficientNet-B7 and neck, as configured, against the released ones."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from htcl.checkpoint.released_depth import RULES

IMG_BACKBONE = {
    "type": "mmdet.EfficientNet",
    "arch": "b7",
    "drop_path_rate": 0.2,
    "frozen_stages": 0,
    "out_indices": (2, 3, 4, 5, 6),
    "norm_eval": False,
    "norm_cfg": {"type": "BN", "eps": 1e-3, "momentum": 0.1},
}
IMG_NECK = {
    "type": "mmdet3d.SECONDFPN",
    "in_channels": [48, 80, 224, 640, 2560],
    "out_channels": [128] * 5,
    "upsample_strides": [0.5, 1, 2, 4, 4],
    "norm_cfg": {"type": "BN", "eps": 1e-3, "momentum": 0.01},
    "upsample_cfg": {"type": "deconv", "bias": False},
    "conv_cfg": {"type": "Conv2d", "bias": False},
}


@pytest.fixture(scope="module")
def image_branch() -> nn.ModuleDict:
    init_default_scope("mmengine")
    return nn.ModuleDict(
        {"img_backbone": MODELS.build(IMG_BACKBONE), "img_neck": MODELS.build(IMG_NECK)}
    )


def test_stages_and_neck(image_branch, load_fixture, load_released_weights, assert_parity):
    fixture = load_fixture("image_backbone_b7")
    load_released_weights(image_branch, fixture.meta, "", "", RULES)
    with torch.no_grad():
        stages = image_branch["img_backbone"](fixture.in_image)
        neck = image_branch["img_neck"](stages)[0]
    for number, stage in zip((2, 3, 4, 5, 6), stages, strict=True):
        expected = getattr(fixture, f"out_stage{number}_mean")
        assert_parity(stage.mean((2, 3)), expected, 1e-4)
    step = fixture.meta["subsample_neck"]
    assert_parity(neck[:, :: step[1]], fixture.out_neck, 1e-4)


def test_stochastic_depth_rates(image_branch):
    """Rates grow linearly over all 55 blocks; only residual blocks drop."""
    blocks = [block for stage in image_branch["img_backbone"].layers[1:6] for block in stage]
    assert len(blocks) == 55
    for number, block in enumerate(blocks):
        rate = getattr(block.drop_path, "drop_prob", 0.0)
        assert rate == pytest.approx(0.2 * number / 54, abs=1e-6)
