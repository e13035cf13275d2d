"""Deformable refinement against the released network's numbers."""

from __future__ import annotations

from htcl.checkpoint.released_temporal import RULES
from htcl.models.temporal import AffinityRefinement


def test_affinity_refinement(load_fixture, load_released_weights, assert_parity):
    data = load_fixture("multipatch_deformable")
    refinement = AffinityRefinement(channels=3)
    load_released_weights(
        refinement,
        data.meta,
        "img_view_transformer.temporal_deformable",
        "temporal.refinement",
        RULES,
    )
    offsets = refinement.levels[0].conv_offset(data.in_x)
    assert_parity(offsets[:, :, ::2, ::2, ::2], data.out_offsets3)
    volume = data.in_x
    for level, name in zip(refinement.levels, ("3", "5", "7"), strict=True):
        volume = level(volume)
        assert_parity(volume, getattr(data, f"out_deformable{name}"))
    assert_parity(refinement(data.in_x), data.out_fused)
