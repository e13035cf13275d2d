"""Camera vector and monocular depth net."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from htcl.geometry import Camera
from htcl.models.depth import CameraAwareDepthNet, camera_vector

BINS = {"start": 2.0, "stop": 10.0, "step": 1.0}


def depth_net(**changes) -> CameraAwareDepthNet:
    torch.manual_seed(0)
    config = {
        "in_channels": 6,
        "mid_channels": 8,
        "context_channels": 4,
        "depth_bins": BINS,
        "num_blocks": 1,
        "aspp_dilations": (2, 3),
        "dropout": 0.0,
    }
    return CameraAwareDepthNet(**{**config, **changes})


def cameras(count: int) -> Camera:
    """Random numbers as matrices."""
    sizes = (4, 4, 3, 4)
    return Camera(*(torch.randn(count, size, size) for size in sizes), size=(40, 56))


def test_camera_vector_order():
    """Number every matrix entry by row and column and read the numbers back."""

    def numbered(size: int, base: int) -> torch.Tensor:
        entries = torch.arange(size)
        return (base + 10 * entries[:, None] + entries).float()[None]

    camera = Camera(
        intrinsics=numbered(4, 100),
        image_transform=numbered(3, 200),
        reference_from_camera=numbered(4, 300),
        augmentation=numbered(4, 400),
        size=(40, 56),
    )
    vector = camera_vector(camera)
    intrinsics = [100, 111, 102, 112, 103, 113, 123]
    pixels = [200, 201, 202, 210, 211, 212]
    augmentation = [400, 401, 410, 411, 422]
    extrinsics = [300 + 10 * row + column for row in range(3) for column in range(4)]
    assert vector.tolist() == [[*intrinsics, *pixels, *augmentation, *extrinsics]]


def test_shapes_and_gradients():
    net = depth_net()
    depth, context = net(torch.randn(2, 6, 5, 7), cameras(2))
    assert depth.shape == (2, 8, 5, 7)
    assert context.shape == (2, 4, 5, 7)
    (depth.square().sum() + context.square().sum()).backward()
    assert all(p.grad is not None for p in net.parameters())


def test_depends_on_the_camera():
    net, x = depth_net().eval(), torch.randn(1, 6, 5, 7)
    one, two = (net(x, cameras(1)) for _ in range(2))
    assert (one[0] - two[0]).abs().max() > 1e-4
    assert (one[1] - two[1]).abs().max() > 1e-4


def test_deformable_convolution_starts_as_a_plain_one():
    net, x = depth_net(), torch.randn(1, 8, 5, 7)
    net.init_weights()
    actual = net.deform(x, net.deform_offset(x))
    torch.testing.assert_close(actual, F.conv2d(x, net.deform.weight, padding=1, groups=4))


def test_one_image_trains():
    """The global branch has one value a channel: batch statistics would not exist."""
    depth_net().train()(torch.randn(1, 6, 5, 7), cameras(1))[0].sum().backward()


def test_released_size():
    with torch.device("meta"):
        net = CameraAwareDepthNet(640, 128, {"start": 2.0, "stop": 58.0, "step": 0.5})
    assert sum(p.numel() for p in net.parameters()) == 43_428_798
