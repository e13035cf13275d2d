"""Stereo networks and depth-plane cost volume against the released ones."""

from __future__ import annotations

import pytest
import torch
from reference_operators import disparity_volume, sample_planes
from sweep_cameras import make_cameras

from htcl.checkpoint.released_depth import RULES
from htcl.models.depth import StereoDepth
from htcl.ops import plane_cost_volume

CAMERA = make_cameras(torch.eye(4)[None], torch.eye(3)[None], (48, 96), pixels="released")


@pytest.fixture(scope="module", params=["lea_stereo", "lea_stereo_align_corners_false"])
def case(request, load_fixture, load_released_weights):
    """Fixture file, our module with its weights, and both views' features."""
    fixture = load_fixture(request.param)
    stereo = StereoDepth(
        depth_bins={"start": 2.0, "stop": 58.0, "step": 0.5},
        input_size=(48, 96),
        max_disparity=fixture.meta["maxdisp"],
        plane_depths="released",
        disparity_scale=0.25,
        volume_sampling="exact" if fixture.meta.get("warp_align_corners", True) else "released",
    )
    load_released_weights(stereo, fixture.meta, "img_view_transformer.leamodel", "stereo", RULES)
    with torch.no_grad():
        features = [stereo.features(image) for image in (fixture.in_left, fixture.in_right)]
    return fixture, stereo, features


def test_features(case, assert_parity):
    fixture, _, (left, right) = case
    assert_parity(left[:, ::2], fixture.out_features_left)
    assert_parity(right[:, ::2], fixture.out_features_right)


def test_cost_volume(case, assert_parity):
    fixture, stereo, (left, right) = case
    disparity = stereo.plane_disparities(fixture.in_calib, CAMERA)
    count, sampling = stereo.num_planes, stereo.volume_sampling
    direct = plane_cost_volume(left, right, disparity, count, sampling)
    two_steps = sample_planes(disparity_volume(left, right, count), disparity, sampling)
    step = fixture.meta["subsample_initial_volume"]
    for volume in (direct, two_steps):
        assert_parity(
            volume[:, :: step[1], :: step[2], :: step[3], :: step[4]], fixture.out_initial_volume
        )


def test_cost(case, assert_parity):
    fixture, stereo, features = case
    disparity = stereo.plane_disparities(fixture.in_calib, CAMERA)
    with torch.no_grad():
        cost = stereo.matching(stereo.cost_volume(*features, disparity))
    assert_parity(cost, fixture.out_classfy_volume)
