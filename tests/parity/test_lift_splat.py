"""Frustum geometry, pooling and depth supervision against the released ones."""

from __future__ import annotations

import torch

from htcl.losses.depth_supervision import DepthSupervision
from htcl.models.view_transformers import LiftSplat


def test_geometry_and_pooling(load_fixture, assert_parity):
    fixture = load_fixture("geometry_pooling")
    meta = fixture.meta
    lower, upper = zip(meta["xbound"], meta["ybound"], meta["zbound"], strict=True)
    start, stop, step = meta["dbound"]
    lift = LiftSplat(
        point_cloud_range=[*lower, *upper],
        voxel_size=meta["grid_step"],
        input_size=meta["input_size"],
        downsample=meta["downsample"],
        depth_bins={"start": start, "stop": stop, "step": step},
        index_rounding="trunc",
        frustum_pixels="corners",
    )
    pixel_transform = fixture.in_post_rots[:, 0].clone()
    pixel_transform[:, :2, 2] = fixture.in_post_trans[:, 0, :2]
    lidar_from_camera = torch.eye(4)[None].clone()
    lidar_from_camera[:, :3, :3] = fixture.in_rots[:, 0]
    lidar_from_camera[:, :3, 3] = fixture.in_trans[:, 0]
    augmented_from_lidar = torch.eye(4)[None].clone()
    augmented_from_lidar[:, :3, :3] = fixture.in_bda
    batch = {
        "intrinsics_left": fixture.in_intrins[:, 0],
        "pixel_transform": pixel_transform,
        "lidar_from_camera": lidar_from_camera,
        "augmented_from_lidar": augmented_from_lidar,
    }
    assert_parity(lift.frustum(), fixture.out_frustum)
    assert_parity(lift.points(batch), fixture.out_geometry[:, 0])
    volume = fixture.in_volume[:, 0].permute(0, 4, 1, 2, 3)
    assert_parity(lift.pool(volume, lift.index(batch)), fixture.out_pooled)


def test_depth_supervision(load_fixture):
    fixture = load_fixture("losses")
    loss = DepthSupervision({"start": 2.0, "stop": 58.0, "step": 0.5}, first_edge=2.25)
    depth_map = fixture.in_depth_labels[:, 0]
    target = loss.target(depth_map)
    torch.testing.assert_close(target.flatten(), fixture.out_depth_target_bin)
    value = loss(fixture.in_depth_probs, depth_map)
    torch.testing.assert_close(value, fixture.out_depth_bce, rtol=1e-5, atol=0)
