"""The history as points, against a walk over all points one by one.

Shape letters: B batch, N camera, M = B * N image, T frame, C channel, D depth bin, h w map.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS
from sweep_cameras import motion

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.errors import InvalidValueError
from htcl.geometry import Camera, VoxelGrid
from htcl.models.interfaces import (
    DepthEstimate,
    FrameInputs,
    HistoryInputs,
    Present,
    required_inputs,
)
from htcl.models.temporal import FrameMemory, PointHistory
from htcl.models.view_transformers import LiftSplat

GRID = VoxelGrid.from_range((0, -6.4, -2, 12.8, 6.4, 4.4), 0.2)
BINS = {"start": 2.0, "stop": 14.0, "step": 0.5}
DEPTHS = np.arange(2.0, 14.0, 0.5)
IMAGE, MAP, CHANNELS, PAST = (64, 96), (4, 6), 3, 3
MONO = {"stereo": None, "depth_fusion": None}


def rig(batch: int, cameras: int) -> Camera:
    """Cameras (B, N), each turned further to the side; each sample has an augmentation."""
    intrinsics = torch.eye(4)
    intrinsics[:3] = torch.tensor([[70.0, 0, 45, 4.5], [0, 70, 30, -0.1], [0, 0, 1, 0.004]])
    reference = torch.tensor(
        [[0.01, 0, 1, 0.27], [-1, 0.02, 0, 0.01], [0, -1, 0.01, -0.08], [0, 0, 0, 1]]
    )
    samples = []
    for sample in range(batch):
        moved = motion([0, 0, 0.1 * sample], [0.2 * sample, 0, 0])
        row = []
        for number in range(cameras):
            extrinsics = motion([0, 0, 0.4 * number], [0.3 * number, 0.1, 0]) @ reference
            crop = torch.tensor([[1.03, 0, 0], [0, 1.03, -3.0 * number], [0, 0, 1]])
            row.append(Camera(intrinsics, extrinsics, crop, moved, IMAGE))
        samples.append(Camera.stack(row))
    return Camera.stack(samples)


class Scene:
    """B samples of N cameras; what a network would say of each frame is drawn at random."""

    def __init__(self, batch=1, cameras=2):
        generator = torch.Generator().manual_seed(0)
        self.cameras, self.images = rig(batch, cameras), batch * cameras
        shape = (PAST + 1, self.images)
        self.prob = (3 * torch.randn(*shape, 24, *MAP, generator=generator)).softmax(dim=2)
        self.context = torch.randn(*shape, CHANNELS, *MAP, generator=generator)
        motions = [
            motion([0, 0.02 * steps, 0], [0.1 * image, 0, -0.8 * steps])
            for image in range(self.images)
            for steps in range(PAST, 0, -1)
        ]
        self.motion = torch.stack(motions).unflatten(0, (self.images, PAST))
        specification = replace(SEMANTICKITTI, grid=GRID)
        self.lift = LiftSplat(specification, depth_bins=BINS, voxel_size=0.8)
        self.seen = []

    def estimate(self, places):
        return DepthEstimate(
            self.prob[places].flatten(0, 1), self.context[places].flatten(0, 1), {}
        )

    def describe(self, frames):
        """The numbers of frames stand in their images."""
        places = frames.images[:: self.images, 0, 0, 0].int().tolist()
        self.seen.append(places)
        return self.estimate(places)

    def __call__(self, module):
        camera = self.cameras.flatten()
        grey = torch.zeros(self.images, PAST + 1, 3, 2, 2, dtype=torch.uint8)

        def frames(places):
            images = torch.tensor(places).repeat_interleave(self.images).float()
            images = images.view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
            return FrameInputs(images, camera.repeat(len(places)))

        history = HistoryInputs(grey[:, :-1], grey[:, -1], camera, self.motion, frames)
        present = Present(self.estimate([-1]), self.cameras, None, self.lift, self.describe)
        return module(history, present)


def walk(scene: Scene, weigh, spread=False) -> torch.Tensor:
    """Adds every point by itself, in double precision: (B, C, X, Y, Z).

    ``weigh`` gives the weight of a depth; ``spread`` takes all bins by their probability.
    """
    batch, cameras = scene.cameras.shape
    out = np.zeros((batch, CHANNELS, *scene.lift.grid.shape))
    names = ("intrinsics", "reference_from_camera", "image_transform", "augmentation")
    for image, frame, row, column in np.ndindex(scene.images, PAST, *MAP):
        sample, number = divmod(image, cameras)
        k, extrinsics, crop, augmentation = (
            getattr(scene.cameras, name)[sample, number].double().numpy() for name in names
        )
        moved = augmentation @ extrinsics @ scene.motion[image, frame].double().numpy()
        original = np.linalg.solve(crop, [(column + 0.5) * 16 - 0.5, (row + 0.5) * 16 - 0.5, 1])
        prob = scene.prob[frame, image, :, row, column].numpy()
        best = prob.argmax()
        feature = scene.context[frame, image, :, row, column].numpy()
        for index in range(len(prob)) if spread else [best]:
            point = np.linalg.solve(k, np.append(original * DEPTHS[index], 1))
            voxel = np.floor(((moved @ point)[:3] - GRID.origin) / 0.8).astype(int)
            if (voxel >= 0).all() and (voxel < scene.lift.grid.shape).all():
                share = prob[index] if spread else 1
                out[(sample, slice(None), *voxel)] += weigh(DEPTHS[best]) * share * feature
    return torch.from_numpy(out).float()


def linear(z):
    """From 1 at 2 m to 0 at 13.5 m, the first and the last bin."""
    return (13.5 - z) / 11.5


@pytest.mark.parametrize(("batch", "cameras"), [(1, 1), (2, 2)])
@pytest.mark.parametrize(
    ("options", "weigh", "spread"),
    [
        ({}, linear, False),
        ({"far_weight": "none"}, lambda z: 1, False),
        ({"depth": "distribution"}, linear, True),
    ],
)
def test_sums_every_point_where_it_lies(operators, batch, cameras, options, weigh, spread):
    scene = Scene(batch, cameras)
    found = scene(PointHistory(BINS, **options))
    expected = walk(scene, weigh, spread)
    assert expected.abs().sum() > 1
    torch.testing.assert_close(found.lifted, expected, rtol=1e-4, atol=1e-5)
    assert scene.seen == [[0, 1, 2]]
    assert found.voxel is None
    assert found.trust is None


def test_expectation_is_the_mean_depth():
    scene = Scene()
    scene.prob = torch.zeros_like(scene.prob)
    # Half at 4 m, half at 6 m: the point lies at 5 m.
    scene.prob[:, :, 4] = scene.prob[:, :, 8] = 0.5
    mean = scene(PointHistory(BINS, depth="expectation")).lifted
    scene.prob = torch.zeros_like(scene.prob)
    scene.prob[:, :, 6] = 1
    torch.testing.assert_close(mean, scene(PointHistory(BINS)).lifted)


def test_trust_weighs_the_points():
    scene = Scene()
    found = scene(PointHistory(BINS, trust={"type": "DepthAgreement", "unconfirmed": 0.5}))
    assert found.trust.shape == (scene.images, PAST, *MAP)
    assert found.trust.min() < 0.1
    assert found.trust.max() > 0.9
    # The same as weaker features.
    scene.context[:-1] *= found.trust.transpose(0, 1)[:, :, None]
    torch.testing.assert_close(found.lifted, scene(PointHistory(BINS)).lifted)


@pytest.mark.parametrize("depth", ["argmax", "expectation"])
def test_mixed_precision_moves_no_point(depth):
    scene = Scene()
    history = PointHistory(BINS, depth=depth, trust={"type": "DepthAgreement"})
    expected = scene(history)
    with torch.autocast("cpu", torch.bfloat16):
        found = scene(history)
    assert torch.equal(found.trust, expected.trust)
    torch.testing.assert_close(found.lifted, expected.lifted)


def test_takes_the_latest_of_more_frames():
    scene = Scene()
    found = scene(PointHistory(BINS, num_history=2)).lifted
    assert scene.seen == [[1, 2]]
    scene.context[0] = 0
    torch.testing.assert_close(found, scene(PointHistory(BINS)).lifted)


def test_fewer_frames_at_once():
    scene = Scene(batch=2)
    together = scene(PointHistory(BINS)).lifted
    torch.testing.assert_close(scene(PointHistory(BINS, frames_at_once=2)).lifted, together)
    assert scene.seen == [[0, 1, 2], [0, 1], [2]]


def test_frames_that_stand_in_for_others_count_once():
    """At the start of a sequence: two earlier frames are one, the third is the present."""
    scene = Scene()
    scene.motion[:, 0] = scene.motion[:, 1]
    scene.motion[:, 2] = torch.eye(4)
    found = scene(PointHistory(BINS)).lifted
    scene.context[0] = scene.context[2] = 0
    expected = scene(PointHistory(BINS)).lifted
    assert expected.abs().sum() > 1
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("gradient", [False, True])
def test_gradient_is_a_key(gradient):
    scene = Scene()
    scene.context.requires_grad_()
    module = PointHistory(BINS, gradient=gradient, trust={"type": "DepthAgreement"}).train()
    lifted = scene(module).lifted
    assert lifted.requires_grad is gradient
    if gradient:
        lifted.square().sum().backward()
        assert scene.context.grad[:-1].abs().sum() > 0
        assert scene.context.grad[-1].abs().sum() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": "mode"}, r"depth='mode'.*argmax"),
        ({"far_weight": "square"}, r"far_weight='square'.*linear"),
        ({"num_history": 0}, "num_history=0"),
        ({"frames_at_once": 0}, "frames_at_once=0"),
    ],
)
def test_wrong_settings_say_what_to_do(options, message):
    with pytest.raises(InvalidValueError, match=message):
        PointHistory(BINS, **options)


def test_what_is_missing_is_said():
    scene = Scene()
    with pytest.raises(InvalidValueError, match=r"model.point_history has num_history=4, but .* 3"):
        scene(PointHistory(BINS, num_history=4))
    scene.motion = None
    with pytest.raises(InvalidValueError, match="point_history needs the motion between frames"):
        scene(PointHistory(BINS))


def test_another_view_transformer_lifts_distributions_alone():
    class Plain:
        """LiftSplat without points."""

        def __init__(self, lift):
            self.index, self.splat = lift.index, lift.splat

    scene = Scene()
    expected = scene(PointHistory(BINS, depth="distribution")).lifted
    scene.lift = Plain(scene.lift)
    assert torch.equal(scene(PointHistory(BINS, depth="distribution")).lifted, expected)
    with pytest.raises(InvalidValueError, match="Plain cannot lift points"):
        scene(PointHistory(BINS))


class TestInTheNetwork:
    @pytest.fixture(scope="class")
    def cfg(self, load_tiny_config):
        return load_tiny_config()

    @pytest.fixture(scope="class")
    def build(self, cfg):
        def build(**changes):
            torch.manual_seed(0)
            points = {"type": "PointHistory", "trust": {"type": "DepthAgreement"}}
            model = copy.deepcopy(cfg.model)
            return MODELS.build({**model, "point_history": points, **changes}).eval()

        return build

    @pytest.fixture(scope="class")
    def stream(self, cfg):
        data = copy.deepcopy(cfg.train_dataloader.dataset)
        data.update(frames="images", labels=False, history_stride=1)
        dataset = DATASETS.build(data)
        return [dataset[index] for index in range(6)]

    def test_asks_for_the_past_what_it_needs_of_the_present(self, build):
        past = {"history", "current_from_history"}
        alone = {"temporal": None, "temporal_fusion": None}
        assert required_inputs(build(**MONO, **alone)) == {"images", *past}
        stereo = {"right", "history_right"}
        assert required_inputs(build(**alone)) == {"images", *past, *stereo}
        assert build(**alone).num_history == 3
        assert build(point_history=None, **alone).num_history == 0

    def test_adds_no_weights(self, build):
        assert set(build().state_dict()) == set(build(point_history=None).state_dict())

    @pytest.mark.parametrize("both", [False, True])
    def test_a_stream_sees_each_frame_once(self, build, stream, both):
        """With a memory of frames the network looks at each frame once, and says the same."""
        from htcl.engine.predictor import Predictor

        alone = {} if both else {"temporal": None, "temporal_fusion": None}
        predictor, counts = Predictor(build(**alone)), []
        predictor.module.img_backbone.register_forward_pre_hook(
            lambda module, args: counts.append(len(args[0]))
        )
        memory, results = FrameMemory(4), []
        for remembered in (None, memory):
            counts.clear()
            results.append([predictor.predict(pseudo_collate([s]), remembered)[0] for s in stream])
            assert sum(counts) == (24 if remembered is None else 6)
        for plain, quick in zip(*results, strict=True):
            same = plain.pred_voxels.semantics == quick.pred_voxels.semantics
            assert same.float().mean() > 0.999
            torch.testing.assert_close(plain.history_trust, quick.history_trust)

    def test_trains(self, build, stream, cfg):
        """One step, and no gradient but through the present."""
        data = copy.deepcopy(cfg.train_dataloader.dataset)
        network = build().train()
        batch = network.data_preprocessor(pseudo_collate([DATASETS.build(data)[-1]]), True)
        losses = network.loss(batch["inputs"], batch["data_samples"])
        sum(losses.values()).backward()
        assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)
        assert next(network.img_backbone.parameters()).grad.abs().sum() > 0
