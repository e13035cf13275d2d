"""Camera vector and monocular depth net against the released ones."""

from __future__ import annotations

import torch

from htcl.checkpoint.released_depth import RULES
from htcl.geometry import Camera
from htcl.models.depth import CameraAwareDepthNet, camera_vector


def camera_of(fixture) -> Camera:
    """The released lists of rotations and translations as our matrices."""
    image_transform = fixture.in_calib_post_rots[:, 0].clone()
    image_transform[:, :2, 2] = fixture.in_calib_post_trans[:, 0, :2]
    reference_from_camera = torch.eye(4)[None].clone()
    reference_from_camera[:, :3, :3] = fixture.in_calib_rots[:, 0]
    reference_from_camera[:, :3, 3] = fixture.in_calib_trans[:, 0]
    augmentation = torch.eye(4)[None].clone()
    augmentation[:, :3, :3] = fixture.in_calib_bda
    return Camera(
        fixture.in_calib_intrins[:, 0],
        reference_from_camera,
        image_transform,
        augmentation,
        size=(384, 1280),
        pixels="released",
    )


def test_camera_vector(load_fixture):
    fixture = load_fixture("depth_net")
    vector = camera_vector(camera_of(fixture))
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
        depth, context = net(fixture.in_x, camera_of(fixture))
    assert_parity(torch.cat((depth, context), dim=1), fixture.out_depth_context)
