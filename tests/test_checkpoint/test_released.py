from __future__ import annotations

import pytest
import torch

from htcl.checkpoint.fit import compare_states
from htcl.checkpoint.key_rules import KeyRenamer
from htcl.checkpoint.released import (
    convert_classifier,
    convert_released,
    convert_to_released,
    is_image_classifier,
    is_released,
    unwrap_state_dict,
)

HEAD = "pts_bbox_head.occ_convs.0.3.weight"
WEIGHTS = {HEAD: torch.ones(2), "img_bev_encoder_neck.alpha": torch.zeros(1)}


class TestKeyRenamer:
    RULES = (("a", "x"), ("a.#.b.#", "x.y.#.#"))

    def test_longest_rule_wins_and_digits_are_carried_over(self):
        rename = KeyRenamer(self.RULES)
        assert rename("a.weight") == "x.weight"
        assert rename("a.3.b.12.weight") == "x.y.3.12.weight"
        assert rename("a.3.c") == "x.3.c"

    def test_reverse(self):
        rename = KeyRenamer(self.RULES, reverse=True)
        assert rename("x.y.3.12.weight") == "a.3.b.12.weight"

    def test_prefixes_end_at_dots(self):
        assert KeyRenamer(self.RULES)("ab.weight") is None
        assert KeyRenamer(self.RULES)("b.a") is None

    def test_unequal_number_of_digits(self):
        with pytest.raises(ValueError, match="number of '#' differs"):
            KeyRenamer([("a.#", "b")])


@pytest.mark.parametrize(
    "content",
    [
        WEIGHTS,
        {"state_dict": WEIGHTS, "meta": {"epoch": 3}, "optimizer": {"state": {}}},
        {"state_dict": {f"module.{key}": value for key, value in WEIGHTS.items()}},
        {"model": {f"module.module.{key}": value for key, value in WEIGHTS.items()}},
        {
            "ema_state_dict": {
                "steps": torch.tensor(9),
                **{f"module.{k}": v for k, v in WEIGHTS.items()},
            }
        },
    ],
    ids=["bare", "state_dict", "module", "nested module", "averages alone"],
)
def test_unwrap_finds_the_weights(content):
    assert unwrap_state_dict(content) == WEIGHTS


def test_averages_of_mmcv_1():
    average = torch.full((2,), 7.0)
    content = {"state_dict": {**WEIGHTS, "ema_" + HEAD.replace(".", "_"): average}}
    assert unwrap_state_dict(content) == WEIGHTS
    averaged = unwrap_state_dict(content, use_ema=True)
    assert averaged == {**WEIGHTS, HEAD: average}


def test_averages_of_mmengine_are_the_plain_weights():
    latest = {f"module.{key}": value + 1 for key, value in WEIGHTS.items()}
    content = {"state_dict": WEIGHTS, "ema_state_dict": latest}
    assert unwrap_state_dict(content) == WEIGHTS
    assert unwrap_state_dict(content, use_ema=True) == WEIGHTS


def test_no_averages():
    with pytest.raises(ValueError, match="holds no moving averages"):
        unwrap_state_dict(WEIGHTS, use_ema=True)


def test_kinds():
    assert is_released(WEIGHTS)
    assert not is_released({"head.classifier.weight": 0, "img_backbone.layers.0": 0})
    assert is_image_classifier({"backbone.layers.0.conv.weight": 0, "head.fc.weight": 0})
    assert not is_image_classifier(WEIGHTS)


def test_convert_and_back():
    state = {**WEIGHTS, "img_view_transformer.dx": torch.ones(3)}
    converted = convert_released(state)
    assert set(converted.state) == {"head.classifier.weight", "temporal_fusion.gate"}
    assert "computes it" in converted.dropped["img_view_transformer.dx"]
    constants = {"img_view_transformer.dx": torch.ones(3)}
    assert convert_to_released(converted.state, constants).state.keys() == state.keys()


def test_unknown_names_stay_for_the_comparison():
    state = {**WEIGHTS, "img_view_transformer.novel.weight": torch.ones(1)}
    converted = convert_released(state).state
    network = {
        "head.classifier.weight": torch.ones(3),
        "temporal_fusion.to_q.weight": torch.ones(1),
    }
    assert compare_states(converted, network) == [
        "missing in the file: temporal_fusion.to_q.weight",
        "of another shape: head.classifier.weight: (2,) in the file, (3,) expected",
        "unknown to the network: img_view_transformer.novel.weight",
        "unknown to the network: temporal_fusion.gate",
    ]


def test_classifier_head_is_dropped_and_nothing_else():
    state = {
        key: torch.ones(1) for key in ("backbone.layers.0.conv.weight", "head.fc.bias", "neck.x")
    }
    converted = convert_classifier(state)
    assert set(converted.state) == {"backbone.layers.0.conv.weight", "neck.x"}
    assert set(converted.dropped) == {"head.fc.bias"}
