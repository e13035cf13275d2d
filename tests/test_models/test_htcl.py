"""The whole network at toy size on one synthetic scene.

Shape letters: B batch, h w image feature map, X Y Z voxel.
"""

from __future__ import annotations

import copy

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS

from htcl.errors import InvalidValueError

MONO = {"stereo": None, "depth_fusion": None}
STILL = {"temporal": None, "temporal_fusion": None}
VARIANTS = {"htcl": {}, "stereoscene": STILL, "mono": {**MONO, **STILL}, "mono_temporal": MONO}
HEAD_LOSSES = {
    "loss_voxel_ce",
    "loss_voxel_sem_scal",
    "loss_voxel_geo_scal",
    "loss_point_ce",
    "loss_point_lovasz",
}
DEPTH_LOSSES = {"loss_depth", "loss_depth_mono", "loss_depth_stereo"}
HISTORY_LOSSES = {f"temporal_{name}" for name in HEAD_LOSSES} | {"loss_depth_current"}


@pytest.fixture(scope="module")
def cfg(load_tiny_config):
    return load_tiny_config()


@pytest.fixture(scope="module")
def scene(cfg):
    """Two training samples."""
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    return [dataset[0], dataset[2]]


@pytest.fixture(scope="module")
def build(cfg):
    def build(**changes):
        torch.manual_seed(0)
        return MODELS.build({**copy.deepcopy(cfg.model), **changes})

    return build


@pytest.fixture(scope="module")
def network(build):
    """The complete network in eval mode, with a gate that lets the history through."""
    model = build().eval()
    torch.nn.init.constant_(model.temporal_fusion.gate, 0.5)
    return model


def collate(model, scene):
    return model.data_preprocessor(pseudo_collate(copy.deepcopy(scene)))


def predict(model, scene):
    with torch.no_grad():
        return model.test_step(pseudo_collate(copy.deepcopy(scene)))


def losses_of(model, scene):
    torch.manual_seed(0)  # the voxels that the losses see start at a random place
    with torch.no_grad():
        return model(**collate(model, scene), mode="loss")


@pytest.mark.parametrize(
    ("present", "absent"),
    [
        ("stereo", "depth_fusion"),
        ("depth_fusion", "stereo"),
        ("temporal", "temporal_fusion"),
        ("temporal_fusion", "temporal"),
    ],
)
def test_half_a_pair(present, absent, build):
    with pytest.raises(ValueError, match=rf"model\.{present} is set but model\.{absent} is None"):
        build(**{absent: None})


@pytest.mark.parametrize("name", VARIANTS)
def test_variants(name, build, scene):
    model = build(auxiliary_weight=0.25, **VARIANTS[name]).eval()
    expected = HEAD_LOSSES | ({"loss_depth"} if "stereo" in VARIANTS[name] else DEPTH_LOSSES)
    if "temporal" not in VARIANTS[name]:
        expected |= HISTORY_LOSSES
    assert set(losses_of(model, scene[:1])) == expected
    (sample,) = predict(model, scene[:1])
    assert sample.pred_voxels.semantics.shape == (32, 32, 4)
    assert sample.pred_voxels.semantics.dtype == torch.uint8
    assert ("temporal_affinity" in sample) == ("temporal" not in VARIANTS[name])


def test_roots_of_the_state_dict(network):
    roots = {name.split(".")[0] for name in network.state_dict()}
    # The view transformer has no weights.
    assert roots == {
        "img_backbone", "img_neck", "depth_net", "stereo", "depth_fusion", "temporal",
        "voxel_encoder", "voxel_neck", "temporal_fusion", "head", "point_head",
    }  # fmt: skip


def test_depth_is_optional(cfg, build, scene):
    losses = [loss for loss in cfg.model.losses if loss.type != "DepthSupervision"]
    assert "loss_depth" not in losses_of(build(**VARIANTS["mono"], losses=losses), scene[:1])


def test_auxiliary_weight(network, scene, monkeypatch):
    monkeypatch.setattr(network, "auxiliary_weight", 1.0)
    whole = losses_of(network, scene[:1])
    monkeypatch.setattr(network, "auxiliary_weight", 0.25)
    quarter = losses_of(network, scene[:1])
    for name, value in whole.items():
        is_auxiliary_loss = name.startswith("temporal_loss")
        assert torch.allclose(quarter[name], value * (0.25 if is_auxiliary_loss else 1))
    monkeypatch.setattr(network, "auxiliary_weight", 0)
    left = set(losses_of(network, scene[:1]))
    assert left == HEAD_LOSSES | DEPTH_LOSSES | {"loss_depth_current"}


def test_unfused_depth_weight(network, scene, monkeypatch):
    whole = losses_of(network, scene[:1])
    monkeypatch.setattr(network, "unfused_depth_weight", 0.25)
    quarter = losses_of(network, scene[:1])
    for name in ("loss_depth_mono", "loss_depth_stereo"):
        torch.testing.assert_close(quarter[name], 0.25 * whole[name])
    torch.testing.assert_close(quarter["loss_depth"], whole["loss_depth"])
    monkeypatch.setattr(network, "unfused_depth_weight", 0)
    assert DEPTH_LOSSES & set(losses_of(network, scene[:1])) == {"loss_depth"}


def test_history_corrects_the_logarithm_of_the_depth(network, scene):
    batch = collate(network, scene[:1])["inputs"]
    with torch.no_grad():
        before = network.extract_feat(batch)
        # All but equal: probabilities are bounded from below.
        current = before.depth.unfused["current"]
        torch.testing.assert_close(before.depth.prob, current, atol=5e-3, rtol=0)
        depth_score, seen = network.temporal.depth_score, []
        hook = depth_score.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        depth_score.gain.fill_(0.3)
        after = network.extract_feat(batch)
        depth_score.gain.zero_()
        hook.remove()
    current = after.depth.unfused["current"].clamp_min(1e-4)
    difference = after.depth.prob.log() - current.log()
    # The same for every bin up to the normalisation, but for the score.
    score = 3.0 * seen[0].sum(dim=1)
    shift = difference - score
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), atol=1e-3, rtol=0)


def test_observers_see_the_fused_prediction(network, scene, monkeypatch):
    seen = []
    monkeypatch.setattr(network, "training_observers", [seen.append])
    losses_of(network, scene[:1])
    (prediction,) = seen
    assert prediction.logits.shape[2:] == prediction.target.shape[1:]


def test_prediction_fields(network, scene):
    (sample,) = predict(network, scene[:1])
    assert sample.depth_plane.shape == sample.temporal_affinity.shape == (1, 4, 8)
    bins = network.view_transformer.depth_bins
    assert bins.start <= sample.depth_plane.min() <= sample.depth_plane.max() <= bins.last
    assert sample.sequence == "00"
    assert "gt_voxels" in sample


def test_eval_is_deterministic(network, scene):
    first, second = (predict(network, scene)[0] for _ in range(2))
    assert torch.equal(first.pred_voxels.semantics, second.pred_voxels.semantics)
    assert torch.equal(first.depth_plane, second.depth_plane)


def test_batch_equals_single_samples(network, scene):
    with torch.no_grad():
        both = network(**collate(network, scene), mode="tensor")
        single = [network(**collate(network, [sample]), mode="tensor") for sample in scene]
    assert both.shape == (2, 20, 32, 32, 4)
    # Cosines of almost flat features magnify the rounding of different batch sizes.
    torch.testing.assert_close(both, torch.cat(single), rtol=1e-3, atol=1e-3)
    # The two scenes do differ.
    assert not torch.allclose(single[0], single[1], rtol=1e-2, atol=1e-2)


def test_history_matters(network, scene):
    changed = copy.deepcopy(scene[1:])
    changed[0]["inputs"]["history"].fill_(0)
    with torch.no_grad():
        before = network(**collate(network, scene[1:]), mode="tensor")
        after = network(**collate(network, changed), mode="tensor")
    assert not torch.allclose(before, after)


def test_no_labels_in_training(network, scene):
    unlabelled = copy.deepcopy(scene[:1])
    del unlabelled[0]["data_samples"].gt_voxels
    with pytest.raises(ValueError, match="sample 00/000000 has no gt_voxels"):
        losses_of(network, unlabelled)


def test_wrong_number_of_frames(network, scene):
    short = copy.deepcopy(scene[:1])
    short[0]["inputs"]["history"] = short[0]["inputs"]["history"][1:]
    with pytest.raises(ValueError, match="num_history"):
        predict(network, short)


def test_losses_on_depth_alone_compute_nothing_else(cfg, build, scene, monkeypatch):
    model = build(losses=[{"type": "DepthSupervision"}]).train()
    monkeypatch.setattr(model, "extract_feat", None)
    data = collate(model, scene[:1])
    losses = model(**data, mode="loss")
    # Without the history there is no depth before its correction.
    assert set(losses) == DEPTH_LOSSES
    sum(losses.values()).backward()
    assert next(model.img_backbone.parameters()).grad.abs().sum() > 0
    assert all(p.grad is None for p in model.voxel_encoder.parameters())


def test_boundaries_are_a_key(build, scene):
    boundary = {"type": "BoundaryDistance", "weight": 0.5}
    head = {"type": "BoundaryHead", "in_channels": 48}
    assert build(boundary_head=head).boundary_head is None
    model = build(boundary_head=head, losses=[boundary]).train()
    data = collate(model, scene[:1])
    losses = model(**data, mode="loss")
    assert set(losses) == {"loss_boundary"}
    losses["loss_boundary"].backward()
    assert model.boundary_head.regressor.weight.grad.abs().sum() > 0
    assert next(model.img_backbone.parameters()).grad.abs().sum() > 0
    with pytest.raises(InvalidValueError, match=r"\['boundary'\], which need model.boundary_head"):
        build(boundary_head=None, losses=[boundary])


def test_learns(build, scene):
    model = build().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    totals = []
    for _ in range(8):
        data = collate(model, scene[:1])
        total, _ = model.parse_losses(model(**data, mode="loss"))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.8 * totals[0]
