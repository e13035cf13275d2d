"""Every entry of a released checkpoint, at full size, against the network of the full config.

The manifest lists names, shapes and kinds that the release itself reported; no weights are needed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from htcl.checkpoint.conversion import released_constants
from htcl.checkpoint.fit import compare_states
from htcl.checkpoint.released import (
    DROPPED,
    RULES,
    convert_classifier,
    convert_released,
    convert_to_released,
)
from htcl.config import load_config

CONFIG = "projects/configs/occupancy/semantickitti/temporal_baseline.py"
MANIFEST = Path(__file__).resolve().parents[1] / "data" / "parity" / "checkpoint_manifest.json"
SWEEP = "img_view_transformer.temporal_encoder.encoder.backprojector"
CLASSIFIER = "img_view_transformer.temporal_encoder.pose_enc.encoder.fc"


@pytest.fixture(scope="module")
def manifest():
    """Rows of (name, shape, dtype, kind, trainable)."""
    return json.loads(MANIFEST.read_text())["entries"]


@pytest.fixture(scope="module")
def released(manifest):
    """The released state dict without values."""
    return {
        name: torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
        for name, shape, dtype, *_ in manifest
    }


@pytest.fixture(scope="module")
def cfg(repo_root):
    cfg = load_config(repo_root / CONFIG)
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.fixture(scope="module")
def network(cfg):
    return MODELS.build(cfg.model)


def test_number_of_parameters(network, manifest):
    ours = sum(parameter.numel() for parameter in network.parameters())
    trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
    dropped = {
        name: torch.Size(shape).numel()
        for name, shape, _, kind, _ in manifest
        if kind == "param" and name in DROPPED
    }
    assert dropped == {
        "img_view_transformer.dx": 3,
        "img_view_transformer.bx": 3,
        "img_view_transformer.nx": 3,
        "img_view_transformer.frustum": 112 * 48 * 160 * 3,
        f"{SWEEP}.id_coords": 2 * 96 * 320,
        f"{SWEEP}.ones": 112 * 96 * 320,
        f"{CLASSIFIER}.weight": 1000 * 512,
        f"{CLASSIFIER}.bias": 1000,
    }
    assert trainable == 162_278_281
    assert ours == 174_778_773
    assert ours + sum(dropped.values()) == 181_374_342


def test_every_entry_has_its_place(network, released):
    converted = convert_released(released)
    assert compare_states(converted.state, network.state_dict()) == []
    assert len(converted.state) + len(converted.dropped) == len(released) == 2654
    assert all(converted.dropped.values())


def test_the_same_entries_are_trainable(network, manifest):
    kinds = {
        name: torch.tensor(trainable) for name, _, _, kind, trainable in manifest if kind == "param"
    }
    expected = {name: bool(flag) for name, flag in convert_released(kinds).state.items()}
    assert {n: p.requires_grad for n, p in network.named_parameters()} == expected


def test_the_way_back_gives_the_released_names_shapes_and_types(network, released, cfg):
    back = convert_to_released(network.state_dict(), released_constants(cfg)).state
    assert compare_states(back, released) == []
    assert {name: value.dtype for name, value in back.items()} == {
        name: value.dtype for name, value in released.items()
    }


def test_constants_are_the_released_ones(cfg):
    constants = released_constants(cfg)
    assert constants["img_view_transformer.dx"].tolist() == pytest.approx([0.4] * 3)
    assert constants["img_view_transformer.bx"].tolist() == pytest.approx([0.2, -25.4, -1.8])
    assert constants["img_view_transformer.nx"].tolist() == [128, 128, 16]
    frustum = constants["img_view_transformer.frustum"]
    assert frustum[0, 0, 0].tolist() == [0, 0, 2]
    assert frustum[-1, -1, -1].tolist() == [1279, 383, 57.5]
    assert constants[f"{SWEEP}.id_coords"][:, 5, 7].tolist() == [7, 5]


def test_rules_are_one_to_one():
    for names in zip(*RULES, strict=True):
        assert len(set(names)) == len(names)


def test_imagenet_file_fits_the_image_backbone(network, released):
    """The file's names as mmcls gives them: those of the released backbone without `img_`."""
    file = {n.removeprefix("img_"): v for n, v in released.items() if n.startswith("img_backbone.")}
    file |= {
        "head.fc.weight": torch.empty(1000, 2560, device="meta"),
        "head.fc.bias": torch.empty(1000, device="meta"),
    }
    converted = convert_classifier(file)
    assert set(converted.dropped) == {"head.fc.weight", "head.fc.bias"}
    expected = {
        f"backbone.{name}": value for name, value in network.img_backbone.state_dict().items()
    }
    assert compare_states(converted.state, expected) == []
    groups = {name.split(".")[2] for name in expected}
    assert groups == set("0123456")
