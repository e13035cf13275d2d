"""Matching features, pose net and plane sweep against the released network's numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from htcl.checkpoint.released_temporal import DROPPED, RULES
from htcl.models.temporal import MatchingResNet, PoseNet
from htcl.models.volumes import MeanVolume
from htcl.ops.plane_sweep import released_intrinsics, sweep_grid, sweep_projection, warp

RELEASED_ROOT = "img_view_transformer.temporal_encoder"


FIXTURES = ("temporal_encoder_normalised", "temporal_encoder_kitti")


@pytest.fixture
def load_temporal_encoder(load_fixture, load_released_weights):
    """Returns a reader: inputs and outputs of the released encoder, our modules, all frames."""

    def load(fixture):
        return _load(fixture, load_fixture, load_released_weights)

    return load


def _load(fixture, load_fixture, load_released_weights):
    data = load_fixture(fixture)
    modules = nn.Module()
    modules.matching, modules.pose = MatchingResNet(), PoseNet()
    data.meta["state"] = [
        (name, shape)
        for name, shape in data.meta["state"]
        if f"{RELEASED_ROOT}.{name}" not in DROPPED
    ]
    shapes = dict(data.meta["state"])
    overrides = None
    if data.meta["overrides"]:
        # The last layer of the pose decoder is zero: an identity pose.
        names = ("pose_dec.net.3.weight", "pose_dec.net.3.bias")
        overrides = {name: torch.zeros(shapes[name]) for name in names}
    load_released_weights(modules, data.meta, RELEASED_ROOT, "temporal", RULES, overrides)
    frames = torch.cat([data.in_source_images, data.in_ref_images], dim=1).float() / 255
    return data, modules, frames


@torch.no_grad()
@pytest.mark.parametrize("fixture", FIXTURES)
def test_matching_features(fixture, load_temporal_encoder, assert_parity):
    data, modules, frames = load_temporal_encoder(fixture)
    assert_parity(modules.matching(frames)[:, -1], data.out_curr_feature)


@torch.no_grad()
@pytest.mark.parametrize("fixture", FIXTURES)
def test_pose_net(fixture, load_temporal_encoder, assert_parity):
    data, modules, frames = load_temporal_encoder(fixture)
    assert_parity(modules.pose(frames[:, -1], frames[:, :-1]), data.out_poses[:, :, 0])


def sweep(data, modules, frames):
    """Our matching features (N,C,h,w) of the history, sampling grid and swept volume."""
    features = modules.matching(frames)
    map_size = tuple(features.shape[-2:])
    intrinsics = released_intrinsics(data.in_intrinsics[:, 0], map_size)
    pose = modules.pose(frames[:, -1], frames[:, :-1])
    projection = sweep_projection(intrinsics, pose, unproject_offset=False)
    depths = torch.linspace(0, 112, data.meta["num_bins"])
    grid = sweep_grid(projection, depths, map_size, behind="released")
    warped = MeanVolume()(features[:, -1], features[:, :-1], projection, depths, "released")
    return features[0, :-1], grid[0], warped.view_as(data.out_warped)


@torch.no_grad()
def test_sweep_with_well_conditioned_intrinsics(load_temporal_encoder, assert_parity):
    data, modules, frames = load_temporal_encoder("temporal_encoder_normalised")
    _, grid, warped = sweep(data, modules, frames)
    assert_parity(grid[:, :, ::2, ::2], data.out_pix_locs.clamp(-3, 3))
    assert_parity(warped, data.out_warped)


@torch.no_grad()
def test_sweep_with_pixel_intrinsics(load_temporal_encoder, assert_parity):
    """Here the released coordinates are ill-conditioned, so that the bound has two parts.

    The focal length of the released convention is 11 502 cells on a map of 16, and the release
    inverts it by a float32 SVD. Measured error of the volume against the fixture: with numpy's
    float32 pseudo-inverse and the release's order of operations 9e-8; with torch's pseudo-inverse
    in its place 5e-4; in double precision, which is what we do since it is the same on every
    machine, 2.7e-4.
    """
    data, modules, frames = load_temporal_encoder("temporal_encoder_kitti")
    history, grid, warped = sweep(data, modules, frames)
    half_width = (history.shape[-1] - 1) / 2
    difference = half_width * (grid[:, :, ::2, ::2] - data.out_pix_locs.clamp(-3, 3)).abs()
    assert difference.max() < 0.005  # cells
    assert_parity(warped, data.out_warped, bound=5e-4)
    # At the released coordinates themselves the features agree.
    sampled = warp(history.mean(dim=1, keepdim=True), data.out_pix_locs)[:, 0]
    assert_parity(sampled, data.out_warped[0, :, :, ::2, ::2])
