"""Pose net and poses of the data set."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from htcl.errors import InvalidValueError
from htcl.models.interfaces import required_inputs
from htcl.models.temporal import EgoPose, PoseNet
from htcl.models.temporal.pose_net import inverse_motion, rotation_from_axis_angle


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def frames(batch=1, count=3):
    """Current images, and those of so many frames less one before them."""
    images = torch.rand(batch, count, 3, 32, 64)
    return images[:, -1], images[:, :-1]


def rigid(seed, count):
    """Random rigid motions (count,4,4)."""
    rng = np.random.default_rng(seed)
    out = np.tile(np.eye(4), (count, 1, 1))
    out[:, :3, :3] = Rotation.from_rotvec(rng.normal(size=(count, 3))).as_matrix()
    out[:, :3, 3] = rng.normal(size=(count, 3))
    return torch.from_numpy(out).float()


def test_rodrigues_agrees_with_scipy():
    vectors = np.random.default_rng(0).normal(size=(20, 3))
    expected = torch.from_numpy(Rotation.from_rotvec(vectors).as_matrix())
    torch.testing.assert_close(
        rotation_from_axis_angle(torch.from_numpy(vectors)), expected, rtol=0, atol=1e-6
    )


def test_quarter_turn_about_y_takes_z_to_x():
    rotation = rotation_from_axis_angle(torch.tensor([[0.0, torch.pi / 2, 0.0]]))
    expected = torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(
        rotation[0] @ torch.tensor([0.0, 0.0, 1.0]), expected, atol=1e-6, rtol=0
    )


def test_zero_rotation_is_the_identity_with_finite_gradients():
    vector = torch.zeros(1, 3, requires_grad=True)
    rotation = rotation_from_axis_angle(vector)
    torch.testing.assert_close(rotation[0], torch.eye(3))
    rotation.square().sum().backward()
    assert vector.grad.isfinite().all()


def test_inverse_motion_inverts():
    vectors, translations = torch.randn(5, 3), torch.randn(5, 3)
    forward = torch.eye(4).repeat(5, 1, 1)
    forward[:, :3, :3] = torch.from_numpy(Rotation.from_rotvec(vectors.numpy()).as_matrix())
    forward[:, :3, 3] = translations
    torch.testing.assert_close(
        inverse_motion(vectors, translations) @ forward,
        torch.eye(4).repeat(5, 1, 1),
        rtol=0,
        atol=1e-5,
    )


def test_pose_net_gives_small_rigid_motions():
    motion = PoseNet(channels=16).eval()(*frames(2, 4))
    assert motion.shape == (2, 3, 4, 4)
    rotation = motion[..., :3, :3]
    torch.testing.assert_close(
        rotation @ rotation.transpose(-1, -2), torch.eye(3).expand(2, 3, 3, 3), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(motion[..., 3, :], torch.tensor([0, 0, 0, 1.0]).expand(2, 3, 4))


def test_frozen_pose_net_has_no_gradients_but_moving_statistics():
    net = PoseNet(channels=16, trainable=False).train()
    before = net.encoder.bn1.running_mean.clone()
    motion = net(*(images.requires_grad_() for images in frames()))
    assert not motion.requires_grad
    assert not any(p.requires_grad for p in net.parameters())
    # Two history frames make two passes.
    assert net.encoder.bn1.num_batches_tracked == 2
    assert not torch.equal(net.encoder.bn1.running_mean, before)


def test_norm_eval_keeps_the_statistics():
    net = PoseNet(channels=16, norm_eval=True).train()
    before = net.encoder.bn1.running_mean.clone()
    net(*frames())
    torch.testing.assert_close(net.encoder.bn1.running_mean, before, rtol=0, atol=0)


def test_trainable_pose_net_has_gradients():
    net = PoseNet(channels=16, trainable=True).train()
    net(*frames(2)).square().sum().backward()
    assert all(p.grad is not None for p in net.encoder.parameters())
    assert net.encoder.conv1.weight.grad.abs().sum() > 0


def test_history_frames_do_not_mix_without_training():
    net, (current, history) = PoseNet(channels=16).eval(), frames(2, 3)
    joint = net(current, history)
    for index in range(2):
        single = net(current, history[:, index : index + 1])
        torch.testing.assert_close(joint[:, index : index + 1], single, rtol=0, atol=1e-6)


def test_ego_pose_inverts_the_motion_of_the_history_frames():
    current_from_history = rigid(0, 6).view(2, 3, 4, 4)
    motion = EgoPose()(*frames(2, 4), current_from_history)
    product = motion @ current_from_history
    torch.testing.assert_close(product, torch.eye(4).expand(2, 3, 4, 4), rtol=0, atol=1e-5)


def test_ego_pose_says_what_is_missing():
    with pytest.raises(InvalidValueError, match=r"current_from_history.*PoseNet"):
        EgoPose()(*frames(), None)
    with pytest.raises(InvalidValueError, match="4 poses for 2 frames"):
        EgoPose()(*frames(), rigid(0, 4)[None])


def test_only_ego_pose_asks_for_poses():
    assert required_inputs({"type": "EgoPose"}) == {"images", "current_from_history"}
    assert required_inputs({"type": "PoseNet"}) == {"images"}
