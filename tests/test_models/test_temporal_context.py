"""The whole temporal branch: sizes, switches, independence of images, gradients."""

from __future__ import annotations

import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation
from sweep_cameras import make_cameras, motion
from torch.nn import functional as F

from htcl.errors import InvalidValueError
from htcl.models.checkpointing import checkpoint_modules
from htcl.models.interfaces import HistoryInputs, required_inputs
from htcl.models.temporal import TemporalContext

IMAGE_SIZE = (64, 128)
MAP_SIZE = (8, 16)
RELEASED = {
    "pose": {"type": "PoseNet", "trainable": False},
    "intrinsics": "released",
    "sweep_range": (0.0, 112.0),
    "behind": "released",
}
CORRELATION = {"volume": {"type": "CorrelationVolume"}}
PATCHES = {"volume": {"type": "PatchVolume"}}
SMALL = {
    "matching": {"type": "MatchingResNet", "channels": 8},
    "depth_bins": {"start": 2.0, "stop": 9.0, "step": 1.0},
    "refinement": {"type": "AffinityRefinement", "hidden_channels": 2},
    "pre_hourglass": {
        "type": "HourglassEncoder",
        "hidden_channels": 4,
        "expand_channels": 6,
        "out_channels": 5,
    },
    "voxel_hourglass": {
        "type": "HourglassEncoder",
        "hidden_channels": 4,
        "expand_channels": 6,
        "out_channels": 7,
    },
}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def camera_matrix():
    matrix = torch.eye(4)
    matrix[:3] = torch.tensor([[200.0, 0, 160, 12.0], [0, 200, 85, -0.1], [0, 0, 1, 0.0]])
    return matrix


def image_transform():
    """A 320 x 160 image seen at 128 x 64."""
    return torch.tensor([[0.4, 0, -0.3], [0, 0.4, -0.3], [0, 0, 1]])


def make_history(images=1, num_history=3, pixels="centres"):
    """Noise as frames; the cameras of the images differ, and so do the drives ahead."""
    intrinsics, transform = camera_matrix().repeat(images, 1, 1), image_transform()
    intrinsics[:, 0, 0] += 20 * torch.arange(images)
    poses = [
        motion([0, 0.01 * steps * (m + 1), 0], [0.1 * m * steps, 0, -0.8 * steps])
        for m in range(images)
        for steps in range(num_history, 0, -1)
    ]
    size = (images, num_history + 1, 3, *IMAGE_SIZE)
    frames = torch.randint(0, 256, size, dtype=torch.uint8)
    return HistoryInputs(
        images=frames[:, :-1],
        current=frames[:, -1],
        camera=make_cameras(intrinsics, transform.repeat(images, 1, 1), IMAGE_SIZE, pixels),
        current_from_history=torch.stack(poses).unflatten(0, (images, num_history)),
    )


def pool(volume):
    """Every second cell of the frustum as a voxel, one scene an image."""
    return volume[..., ::2, ::2, ::2]


def present(pool):
    """All that this module reads of it."""
    return SimpleNamespace(map_size=MAP_SIZE, pool=pool)


PRESENT = present(pool)


def build(**options):
    return MODELS.build({"type": "TemporalContext", **SMALL, **options})


def loss_of(model, history):
    return model(history, PRESENT).voxel.float().square().mean()


def test_released_settings_have_the_released_parameters():
    """Counts of the released checkpoint, without constants and the unused classifier."""
    model = TemporalContext({"start": 2.0, "stop": 58.0, "step": 0.5}, **RELEASED)
    count = {
        name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()
    }
    assert count == {
        "volume": 0,
        "matching": 157504,
        "pose": 12500492,
        "affinity": 1983,
        "refinement": 33939,
        "pre_hourglass": 1280864,
        "voxel_hourglass": 1886528,
    }
    assert not any(p.requires_grad for p in model.pose.parameters())
    assert len(model.depths) == 112
    assert model.depths[-1] == 112


@pytest.mark.parametrize("num_history", [1, 2, 3])
@pytest.mark.parametrize("options", [RELEASED, {}, CORRELATION])
def test_sizes_for_every_history(num_history, options):
    model = build(num_history=num_history, **options).train()
    history = make_history(2, num_history)
    features = []
    out = model(history, present(lambda volume: features.append(volume) or pool(volume)))
    assert out.depth_score is None
    # Seven bins: an odd number.
    assert features[0].shape == (2, 5, 7, *MAP_SIZE)
    assert out.affinity.shape == (2, 1, 7, *MAP_SIZE)
    assert out.affinity.abs().max() <= 1 + 1e-5
    assert out.voxel.shape == (2, 7, 4, 4, 8)
    out.voxel.square().mean().backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)
    assert model.matching.conv1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "options",
    [
        {"affinity": {"type": "PatternAffinity", "dilations": (1, 1, 1)}},
        {"affinity": {"type": "PatternAffinity", "independent_learners": False}},
        {"affinity": None},
        {
            "refinement": {
                "type": "AffinityRefinement",
                "deformable": False,
                "hidden_channels": 2,
            }
        },
        {"volume": {"type": "CorrelationVolume", "num_groups": 2}},
        {"volume": {"type": "CorrelationVolume", "depth_chunk": 2}, "sweep_map": "output"},
        {"sweep_map": "output"},
        {"num_planes": 4},
        PATCHES,
        {"pose": {"type": "PoseNet", "trainable": True, "channels": 8}},
        {"matching": {"type": "MatchingResNet", "channels": 8, "joint_statistics": True}},
    ],
)
def test_switches(options):
    model = build(**options).train()
    out = model(make_history(), PRESENT)
    assert out.voxel.shape == (1, 7, 4, 4, 8)
    assert (out.affinity is None) is ("affinity" in options and options["affinity"] is None)
    out.voxel.square().mean().backward()
    assert model.matching.conv1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("pixels", ["centres", "released"])
@pytest.mark.parametrize("options", [RELEASED, {}, CORRELATION, PATCHES])
def test_every_image_gives_what_it_gives_alone(options, pixels):
    model = build(**options, depth_score={"type": "DepthScore"}).eval()
    torch.nn.init.normal_(model.depth_score.gain)
    history = make_history(3, pixels=pixels)
    with torch.no_grad():
        joint = model(history, PRESENT)
        for index in range(3):
            row = slice(index, index + 1)
            single = HistoryInputs(
                history.images[row],
                history.current[row],
                history.camera[row],
                history.current_from_history[row],
            )
            alone = model(single, PRESENT)
            for ours, theirs in (
                (joint.voxel, alone.voxel),
                (joint.affinity, alone.affinity),
                (joint.depth_score, alone.depth_score),
            ):
                # The released sampling positions are sensitive to the pose net's last digits.
                torch.testing.assert_close(ours[row], theirs, rtol=0, atol=1e-3)
    assert (joint.affinity[0] - joint.affinity[1]).abs().max() > 0.1


def test_identity_motion_warps_the_current_frame_onto_itself():
    model = build(num_history=2).eval()
    history = make_history(1, 2)
    history = replace(
        history,
        images=history.current[:, None].expand_as(history.images),
        current_from_history=torch.eye(4).expand(1, 2, 4, 4),
    )
    with torch.no_grad():
        current, warped = model.warp_history(history, MAP_SIZE)
    expected = current.mean(dim=1)[:, None, None].expand_as(warped)
    torch.testing.assert_close(warped, expected, rtol=0, atol=1e-4)


def render_plane(texture, cells_per_metre, depth, source_from_current):
    """The image (3,H,W) that a camera has of a textured plane at a depth of the current one."""
    transform = np.eye(4)
    transform[:3, :3] = image_transform().numpy()
    camera = transform @ camera_matrix().double().numpy()
    rows, columns = np.meshgrid(*(np.arange(n) for n in IMAGE_SIZE), indexing="ij")
    pixels = np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)
    inverse = np.linalg.inv(camera @ source_from_current)
    origin, direction = inverse[:3, 3:], inverse[:3, :3] @ pixels
    points = origin + direction * (depth - origin[2]) / direction[2]
    where = cells_per_metre * points[1::-1] + np.array(texture.shape[1:])[:, None] / 2
    colours = [map_coordinates(channel, where, order=1, mode="wrap") for channel in texture]
    return torch.from_numpy(np.stack(colours)).view(3, *IMAGE_SIZE).to(torch.uint8)


@pytest.mark.parametrize("options", [CORRELATION, PATCHES])
@pytest.mark.parametrize("bin_index", [2, 4])
def test_untrained_features_find_a_rendered_plane(bin_index, options):
    """From images to bins: resize, stride, poses and camera offset all have to be right."""
    model = build(**options, num_history=2).eval()
    depth = 2.0 + bin_index
    rng = np.random.default_rng(0)
    texture = gaussian_filter(rng.normal(size=(3, 256, 256)), (0, 2, 2), mode="wrap")
    texture = 128 + 50 * texture / texture.std()
    current_from_frame = np.tile(np.eye(4), (3, 1, 1))
    for index, shift in enumerate((-1.2, 0.9)):
        current_from_frame[index, :3, 3] = [shift, 0.05, -0.3]
        turn = Rotation.from_rotvec([0.01, -0.02, 0.01])
        current_from_frame[index, :3, :3] = turn.as_matrix()
    images = torch.stack(
        [render_plane(texture, 8.0, depth, np.linalg.inv(motion)) for motion in current_from_frame]
    )
    history = replace(
        make_history(1, 2),
        images=images[None, :-1],
        current=images[-1:],
        current_from_history=torch.from_numpy(current_from_frame).float()[None, :-1],
    )
    with torch.no_grad():
        _, similarity = model.warp_history(history, (16, 32))
    # A window, since a cell alone is ambiguous in a smooth texture.
    similarity = F.avg_pool2d(similarity.sum(dim=1), 5, stride=1, padding=2)
    found = similarity[0].argmax(dim=0)[3:-3, 10:-10]
    assert (found == bin_index).float().mean() > 0.9


def test_recomputation_changes_neither_gradients_nor_statistics():
    plain = build().train()
    checkpointed = copy.deepcopy(plain)
    checkpoint_modules(
        checkpointed, ["matching", "affinity", "refinement", "pre_hourglass", "voxel_hourglass"]
    )
    history = make_history()
    for model in (plain, checkpointed):
        loss_of(model, history).backward()
    for (name, ours), theirs in zip(
        checkpointed.named_parameters(), plain.parameters(), strict=True
    ):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=name)
    for (name, ours), theirs in zip(checkpointed.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_patches_without_affinity_need_no_features():
    model = build(**PATCHES, affinity=None).train()
    assert model.matching is None
    loss_of(model, make_history()).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("options", [{}, PATCHES])
def test_depth_score_starts_at_zero_and_learns(options):
    model = build(**options, depth_score={"type": "DepthScore"}).train()
    score = model(make_history(), PRESENT).depth_score
    assert score.shape == (1, 7, *MAP_SIZE)
    assert (score == 0).all()
    torch.nn.init.normal_(model.depth_score.gain)
    torch.nn.init.normal_(model.depth_score.volume.weight)
    warped, features = torch.randn(1, 3, 7, *MAP_SIZE), torch.randn(1, 5, 7, *MAP_SIZE)
    score = model.depth_score(warped, features)
    convolved = F.conv3d(features, model.depth_score.volume.weight, padding=1)[0, 0]
    agreement = sum(10 * g * w for g, w in zip(model.depth_score.gain, warped[0], strict=True))
    torch.testing.assert_close(score[0], convolved + agreement)
    model(make_history(), PRESENT).depth_score[:, 0].sum().backward()
    assert model.depth_score.gain.grad.abs().min() > 0
    assert model.refinement.fuse.weight.grad.abs().sum() > 0


def test_frozen_pose_net_keeps_its_parameters_without_gradients():
    model = build(**RELEASED).train()
    loss_of(model, make_history()).backward()
    assert all(p.grad is None for p in model.pose.parameters())


def test_runs_under_autocast():
    model = build(**CORRELATION).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_of(model, make_history())
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.matching.parameters())


def test_asks_for_history_and_poses_where_it_needs_them():
    assert required_inputs(build()) == {"images", "history", "current_from_history"}
    assert required_inputs(build(**RELEASED)) == {"images", "history"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"intrinsics": "pixels"}, r"intrinsics='pixels'.*feature"),
        ({"sweep_map": "full"}, r"sweep_map='full'.*output"),
        ({"behind": "keep"}, r"behind='keep'.*discard"),
        ({"num_history": 0}, "num_history=0"),
        ({"matching": None}, "matching=None.*MeanVolume"),
        ({**PATCHES, "matching": None}, "matching=None.*PatternAffinity"),
    ],
)
def test_wrong_settings_say_what_to_do(options, message):
    with pytest.raises(InvalidValueError, match=message):
        build(**options)


def test_takes_the_latest_of_more_frames():
    model, history = build().eval(), make_history(2, 5)
    latest = replace(
        history,
        images=history.images[:, 2:],
        current_from_history=history.current_from_history[:, 2:],
    )
    with torch.no_grad():
        torch.testing.assert_close(
            model(history, PRESENT).voxel, model(latest, PRESENT).voxel, rtol=0, atol=0
        )


def test_fewer_frames_are_refused():
    with pytest.raises(InvalidValueError, match=r"num_history=3, but .* 2 history frames"):
        build()(make_history(1, 2), PRESENT)
