"""Hourglasses of the temporal branch against the released network's numbers."""

from __future__ import annotations

import pytest

from htcl.checkpoint.key_rules import rules_below
from htcl.checkpoint.released_hourglass import HOURGLASS_ENCODER
from htcl.models.layers.hourglass_encoder import HourglassEncoder


@pytest.mark.parametrize(
    ("fixture", "in_channels", "out_channels"),
    [("temporal_prehourglass", 3, 64), ("temporal_hourglass", 64, 384)],
)
def test_hourglass_encoder(
    fixture, in_channels, out_channels, load_fixture, load_released_weights, assert_parity
):
    data = load_fixture(fixture)
    encoder = HourglassEncoder(in_channels, 32, 64, out_channels, num_groups=2)
    rules = rules_below("released", "ours", HOURGLASS_ENCODER)
    load_released_weights(encoder, data.meta, "released", "ours", rules)
    steps = tuple(slice(None, None, step) for step in data.meta["subsample_y"])
    assert_parity(encoder(data.in_x)[steps], data.out_y)
