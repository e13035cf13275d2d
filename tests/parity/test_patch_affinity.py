"""Pattern affinity against the released network's numbers."""

from __future__ import annotations

from htcl.checkpoint.released_temporal import RULES
from htcl.models.temporal import PatternAffinity


def test_pattern_affinity(load_fixture, load_released_weights, assert_parity):
    data = load_fixture("patch_affinity")
    affinity = PatternAffinity(context_channels=64, volume_channels=3)
    load_released_weights(affinity, data.meta, "img_view_transformer", "temporal.affinity", RULES)
    assert_parity(affinity.current_patterns(data.in_curr_feature), data.out_curr_patch)
    assert_parity(affinity.warped_patterns(data.in_warped), data.out_warped_patch)
    assert_parity(affinity(data.in_curr_feature, data.in_warped), data.out_affinity)
