"""Frustum geometry, pooling and depth supervision against the released ones."""

from __future__ import annotations

from dataclasses import replace

import torch

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.geometry import Camera, VoxelGrid
from htcl.losses import DepthSupervision
from htcl.models.view_transformers import LiftSplat


def test_geometry_and_pooling(load_fixture, assert_parity):
    fixture = load_fixture("geometry_pooling")
    meta = fixture.meta
    lower, upper = zip(meta["xbound"], meta["ybound"], meta["zbound"], strict=True)
    start, stop, step = meta["dbound"]
    grid = VoxelGrid.from_range([*lower, *upper], meta["grid_step"])
    lift = LiftSplat(
        specification=replace(SEMANTICKITTI, grid=grid),
        voxel_size=meta["grid_step"],
        depth_bins={"start": start, "stop": stop, "step": step},
        index_rounding="released",
    )
    image_transform = fixture.in_post_rots.clone()
    image_transform[..., :2, 2] = fixture.in_post_trans[..., :2]
    reference_from_camera = torch.eye(4)[None, None].clone()
    reference_from_camera[..., :3, :3] = fixture.in_rots
    reference_from_camera[..., :3, 3] = fixture.in_trans
    augmentation = torch.eye(4)[None, None].clone()
    augmentation[0, 0, :3, :3] = fixture.in_bda
    height, width = meta["input_size"]
    map_size = (height // meta["downsample"], width // meta["downsample"])
    cameras = Camera(
        fixture.in_intrins,
        reference_from_camera,
        image_transform,
        augmentation,
        size=(height, width),
        pixels="released",
    )
    depths = lift.depth_bins.values(dtype=torch.float64)
    assert_parity(cameras.frustum(map_size, depths), fixture.out_frustum)
    assert_parity(cameras.unproject(map_size, depths), fixture.out_geometry)
    volume = fixture.in_volume[:, 0].permute(0, 4, 1, 2, 3)
    assert_parity(lift.pool(volume, lift.index(cameras, map_size)), fixture.out_pooled)


def test_depth_supervision(load_fixture):
    fixture = load_fixture("losses")
    loss = DepthSupervision({"start": 2.0, "stop": 58.0, "step": 0.5}, first_edge=2.25)
    depth_map = fixture.in_depth_labels[:, 0]
    target = loss.target(depth_map, tuple(fixture.in_depth_probs.shape[2:]))
    torch.testing.assert_close(target.flatten(), fixture.out_depth_target_bin)
    value = loss(fixture.in_depth_probs, depth_map)
    torch.testing.assert_close(value, fixture.out_depth_bce, rtol=1e-5, atol=0)
