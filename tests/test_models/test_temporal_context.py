"""The whole temporal branch: sizes, switches, independence of samples, gradients."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from mmdet3d.registry import MODELS
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation
from torch.nn import functional as F

from htcl.models.temporal import TemporalContext

IMAGE_SIZE = (64, 128)
FEATURE_SIZE = (8, 16)
RIGHT = {
    "pose": {"type": "EgoPose"},
    "intrinsics": "feature",
    "sweep_range": None,
    "discard_behind": True,
    "align_corners": False,
}
SMALL = {
    "matching": {"channels": 8},
    "depth_bins": {"start": 2.0, "stop": 9.0, "step": 1.0},
    "refinement": {"hidden_channels": 2},
    "pre_hourglass": {"hidden_channels": 4, "expand_channels": 6, "out_channels": 5},
    "voxel_hourglass": {"hidden_channels": 4, "expand_channels": 6, "out_channels": 7},
}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def camera_matrix():
    matrix = torch.eye(4)
    matrix[:3] = torch.tensor([[200.0, 0, 160, 12.0], [0, 200, 85, -0.1], [0, 0, 1, 0.0]])
    return matrix


def make_batch(batch=1, frames=4):
    """Calibration of a 320 x 160 camera seen at 128 x 64, and poses of a drive ahead."""
    motions = np.tile(np.eye(4), (batch, frames, 1, 1))
    for b in range(batch):
        for t in range(frames - 1):
            steps = frames - 1 - t
            turn = Rotation.from_rotvec([0, 0.01 * steps * (b + 1), 0])
            motions[b, t, :3, :3] = turn.as_matrix()
            motions[b, t, :3, 3] = [0.1 * b * steps, 0, -0.8 * steps]
    transform = torch.tensor([[0.4, 0, -0.3], [0, 0.4, -0.3], [0, 0, 1]])
    return {
        "intrinsics_left": camera_matrix().expand(batch, 4, 4),
        "frames_pixel_transform": transform.expand(batch, 3, 3),
        "current_from_frame": torch.from_numpy(motions).float(),
    }


def make_frames(batch=1, frames=4):
    return torch.randint(0, 256, (batch, frames, 3, *IMAGE_SIZE), dtype=torch.uint8)


def build(**options):
    return MODELS.build({"type": "TemporalContext", **SMALL, **options})


def test_released_defaults_have_the_released_parameters():
    """Counts of the released checkpoint, without constants and the unused classifier."""
    model = TemporalContext()
    count = {
        name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()
    }
    assert count == {
        "matching": 157504,
        "pose": 12500492,
        "plane_sweep": 0,
        "affinity": 1983,
        "refinement": 33939,
        "pre_hourglass": 1280864,
        "voxel_hourglass": 1886528,
    }
    assert not any(p.requires_grad for p in model.pose.parameters())
    assert len(model.plane_sweep.depths) == 112
    assert model.plane_sweep.depths[-1] == 112


@pytest.mark.parametrize("num_history", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, RIGHT, {**RIGHT, "warped_feature": "correlation"}])
def test_sizes_for_every_history(num_history, options):
    model = build(num_history=num_history, **options).train()
    frames, batch = make_frames(2, num_history + 1), make_batch(2, num_history + 1)
    volume, affinity, score = model(frames, batch, FEATURE_SIZE, details=True)
    assert score is None
    # Seven bins: an odd number.
    assert volume.shape == (2, 5, 7, *FEATURE_SIZE)
    assert affinity.shape == (2, 1, 7, *FEATURE_SIZE)
    assert affinity.abs().max() <= 1 + 1e-5
    voxels = model.refine_voxels(torch.randn(2, 5, 6, 5, 4))
    assert voxels.shape == (2, 7, 6, 5, 4)
    (volume.square().mean() + voxels.square().mean()).backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)
    assert model.matching.conv1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "options",
    [
        {"affinity": {"dilations": (1, 1, 1)}},
        {"affinity": {"independent_learners": False}},
        {"affinity": None},
        {"refinement": {"deformable": False, "hidden_channels": 2}},
        {"warped_feature": "correlation", "num_groups": 2},
        {"warped_feature": "correlation", "sweep_map": "output", "depth_chunk": 2},
        {"sweep_map": "output"},
        {"warped_feature": "patches"},
        {"pose": {"type": "PoseNet", "trainable": True, "channels": 8}},
        {"matching": {"channels": 8, "joint_statistics": True}},
    ],
)
def test_switches(options):
    model = build(**{**RIGHT, **options}).train()
    volume, affinity, _ = model(make_frames(), make_batch(), FEATURE_SIZE, details=True)
    assert volume.shape == (1, 5, 7, *FEATURE_SIZE)
    assert (affinity is None) is ("affinity" in options and options["affinity"] is None)
    volume.square().mean().backward()
    assert model.matching.conv1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("options", [{}, RIGHT, {**RIGHT, "warped_feature": "correlation"}])
def test_samples_of_a_batch_are_independent(options):
    model = build(**options).eval()
    frames, batch = make_frames(2), make_batch(2)
    with torch.no_grad():
        joint = model(frames, batch, FEATURE_SIZE)
        for index in range(2):
            single = {key: value[index : index + 1] for key, value in batch.items()}
            alone = model(frames[index : index + 1], single, FEATURE_SIZE)
            # The released sampling positions are sensitive to the pose net's last digits.
            torch.testing.assert_close(joint[index], alone[0], rtol=0, atol=1e-3)


def test_identity_motion_warps_the_current_frame_onto_itself():
    model = build(**RIGHT, num_history=2).eval()
    frames, batch = make_frames(1, 1).expand(1, 3, 3, *IMAGE_SIZE), make_batch(1, 3)
    batch["current_from_frame"] = torch.eye(4).expand(1, 3, 4, 4)
    with torch.no_grad():
        current, warped = model.warp_history(frames, batch, FEATURE_SIZE)
    expected = current.mean(dim=1)[:, None, None].expand_as(warped)
    torch.testing.assert_close(warped, expected, rtol=0, atol=1e-4)


def render_plane(texture, cells_per_metre, depth, source_from_current):
    """The image (3,H,W) that a camera has of a textured plane at a depth of the current one."""
    transform = np.eye(4)
    transform[:3, :3] = make_batch()["frames_pixel_transform"][0].numpy()
    camera = transform @ camera_matrix().double().numpy()
    rows, columns = np.meshgrid(*(np.arange(n) for n in IMAGE_SIZE), indexing="ij")
    pixels = np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)
    inverse = np.linalg.inv(camera @ source_from_current)
    origin, direction = inverse[:3, 3:], inverse[:3, :3] @ pixels
    points = origin + direction * (depth - origin[2]) / direction[2]
    where = cells_per_metre * points[1::-1] + np.array(texture.shape[1:])[:, None] / 2
    colours = [map_coordinates(channel, where, order=1, mode="wrap") for channel in texture]
    return torch.from_numpy(np.stack(colours)).view(3, *IMAGE_SIZE).to(torch.uint8)


@pytest.mark.parametrize("warped_feature", ["correlation", "patches"])
@pytest.mark.parametrize("bin_index", [2, 4])
def test_untrained_features_find_a_rendered_plane(bin_index, warped_feature):
    """From images to bins: resize, stride, poses and camera offset all have to be right."""
    model = build(**RIGHT, warped_feature=warped_feature, num_history=2).eval()
    depth = 2.0 + bin_index
    rng = np.random.default_rng(0)
    texture = gaussian_filter(rng.normal(size=(3, 256, 256)), (0, 2, 2), mode="wrap")
    texture = 128 + 50 * texture / texture.std()
    current_from_frame = np.tile(np.eye(4), (3, 1, 1))
    for index, shift in enumerate((-1.2, 0.9)):
        current_from_frame[index, :3, 3] = [shift, 0.05, -0.3]
        turn = Rotation.from_rotvec([0.01, -0.02, 0.01])
        current_from_frame[index, :3, :3] = turn.as_matrix()
    images = [
        render_plane(texture, 8.0, depth, np.linalg.inv(motion)) for motion in current_from_frame
    ]
    batch = make_batch(1, 3)
    batch["current_from_frame"] = torch.from_numpy(current_from_frame).float()[None]
    with torch.no_grad():
        _, similarity = model.warp_history(torch.stack(images)[None], batch, (16, 32))
    # A window, since a cell alone is ambiguous in a smooth texture.
    similarity = F.avg_pool2d(similarity.sum(dim=1), 5, stride=1, padding=2)
    found = similarity[0].argmax(dim=0)[3:-3, 10:-10]
    assert (found == bin_index).float().mean() > 0.9


def test_recomputation_changes_neither_gradients_nor_statistics():
    plain = build(**RIGHT).train()
    checkpointed = copy.deepcopy(plain)
    checkpointed.with_cp = True
    frames, batch, pooled = make_frames(), make_batch(), torch.randn(1, 5, 4, 4, 4)
    for model in (plain, checkpointed):
        out = model(frames, batch, FEATURE_SIZE).square().mean()
        (out + model.refine_voxels(pooled).square().mean()).backward()
    for (name, ours), theirs in zip(
        checkpointed.named_parameters(), plain.parameters(), strict=True
    ):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=name)
    for (name, ours), theirs in zip(checkpointed.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_patches_without_affinity_need_no_features():
    model = build(**RIGHT, warped_feature="patches", affinity=None).train()
    assert model.matching is None
    model(make_frames(), make_batch(), FEATURE_SIZE).square().mean().backward()
    without_depth = {n for n, p in model.named_parameters() if p.grad is None}
    assert all(name.startswith("voxel_hourglass") for name in without_depth)


@pytest.mark.parametrize("warped_feature", ["mean", "patches"])
def test_depth_score_starts_at_zero_and_learns(warped_feature):
    model = build(**RIGHT, depth_correction=True, warped_feature=warped_feature).train()
    volume, _, score = model(make_frames(), make_batch(), FEATURE_SIZE, details=True)
    assert score.shape == (1, 7, *FEATURE_SIZE)
    assert (score == 0).all()
    torch.nn.init.normal_(model.depth_score.gain)
    torch.nn.init.normal_(model.depth_score.volume.weight)
    warped = torch.randn(1, 3, 7, *FEATURE_SIZE)
    score = model.depth_score(warped, volume)
    convolved = F.conv3d(volume, model.depth_score.volume.weight, padding=1)[0, 0]
    agreement = sum(10 * g * w for g, w in zip(model.depth_score.gain, warped[0], strict=True))
    torch.testing.assert_close(score[0], convolved + agreement)
    score[:, 0].sum().backward()
    assert model.depth_score.gain.grad.abs().min() > 0
    assert model.refinement.fuse.weight.grad.abs().sum() > 0


def test_frozen_pose_net_keeps_its_parameters_without_gradients():
    model = build().train()
    model(make_frames(), make_batch(), FEATURE_SIZE).square().mean().backward()
    assert all(p.grad is None for p in model.pose.parameters())


def test_runs_under_autocast():
    model = build(**RIGHT, warped_feature="correlation").train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        volume = model(make_frames(), make_batch(), FEATURE_SIZE)
        loss = volume.float().square().mean()
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.matching.parameters())


def test_wrong_settings_say_what_to_do():
    with pytest.raises(ValueError, match=r"intrinsics='pixels'.*feature"):
        build(intrinsics="pixels")
    with pytest.raises(ValueError, match=r"sweep_map='full'.*output"):
        build(sweep_map="full")
    with pytest.raises(ValueError, match=r"warped_feature='census'.*patches"):
        build(warped_feature="census")
    with pytest.raises(ValueError, match="num_groups=2 with warped_feature='patches'"):
        build(warped_feature="patches", num_groups=2)
    with pytest.raises(ValueError, match="num_history=0"):
        build(num_history=0)
    with pytest.raises(ValueError, match="3 frames, expected num_history"):
        build()(make_frames(1, 3), make_batch(1, 3), FEATURE_SIZE)
