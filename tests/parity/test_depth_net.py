"""Camera vector and monocular depth net against the released ones."""

from __future__ import annotations

import torch

from htcl.checkpoint.released_depth import RULES
from htcl.models.depth import CameraAwareDepthNet, camera_vector


def calibration(fixture) -> dict[str, torch.Tensor]:
    """The released lists of rotations and translations as our matrices."""
    pixel_transform = fixture.in_calib_post_rots[:, 0].clone()
    pixel_transform[:, :2, 2] = fixture.in_calib_post_trans[:, 0, :2]
    lidar_from_camera = torch.eye(4)[None].clone()
    lidar_from_camera[:, :3, :3] = fixture.in_calib_rots[:, 0]
    lidar_from_camera[:, :3, 3] = fixture.in_calib_trans[:, 0]
    augmented_from_lidar = torch.eye(4)[None].clone()
    augmented_from_lidar[:, :3, :3] = fixture.in_calib_bda
    return {
        "intrinsics": fixture.in_calib_intrins[:, 0],
        "pixel_transform": pixel_transform,
        "lidar_from_camera": lidar_from_camera,
        "augmented_from_lidar": augmented_from_lidar,
    }


def test_camera_vector(load_fixture):
    fixture = load_fixture("depth_net")
    vector = camera_vector(**calibration(fixture))
    torch.testing.assert_close(vector, fixture.in_mlp_input[:, 0], rtol=0, atol=0)


def test_depth_and_context(load_fixture, load_released_weights, assert_parity):
    fixture = load_fixture("depth_net")
    net = CameraAwareDepthNet(
        in_channels=640,
        mid_channels=640,
        context_channels=128,
        depth_bins={"start": 2.0, "stop": 58.0, "step": 0.5},
    )
    load_released_weights(net, fixture.meta, "img_view_transformer.depth_net", "depth_net", RULES)
    with torch.no_grad():
        depth, context = net(fixture.in_x, fixture.in_mlp_input[:, 0])
    assert_parity(torch.cat((depth, context), dim=1), fixture.out_depth_context)
