from __future__ import annotations

import itertools
import math

import pytest
import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.structures import BaseDataElement

from htcl.models.heads import OccupancyHead

POINTS = {
    "type": "PointSupervision",
    "image_channels": 6,
    "point_cloud_range": (0, -4, -1, 8, 4, 3),
    "sample_axes": "xyz",
}
GRID = (8, 8, 4)


def _head(**kwargs):
    torch.manual_seed(0)
    settings = {"in_channels": 16, "mid_channels": 8, "num_groups": 4, "point_supervision": POINTS}
    return OccupancyHead(**{**settings, **kwargs})


def _sample(target):
    sample = Det3DDataSample(metainfo={"sequence": "08", "frame": "000005"})
    sample.gt_voxels = BaseDataElement(semantics=target)
    return sample


def _batch(points=5):
    torch.manual_seed(1)
    return {
        "points": [torch.rand(points, 3) * torch.tensor([8.0, 4.0, 2.0]) for _ in range(2)],
        "point_labels": [torch.randint(0, 20, (points,)) for _ in range(2)],
        "point_uvd": [torch.rand(points, 3) for _ in range(2)],
    }


def _features(requires_grad=False):
    torch.manual_seed(2)
    voxel = torch.randn(2, 16, 4, 4, 2, requires_grad=requires_grad)
    return voxel, torch.randn(2, 6, 3, 5)


def _samples(fill=None):
    torch.manual_seed(3)
    targets = torch.randint(0, 20, (2, *GRID), dtype=torch.uint8)
    if fill is not None:
        targets.fill_(fill)
    return [_sample(target) for target in targets]


def test_loss_names_and_metrics():
    voxel, image = _features()
    losses = _head().loss(voxel, _batch(), _samples(), image)
    assert set(losses) == {
        "loss_voxel_ce",
        "loss_voxel_sem_scal",
        "loss_voxel_geo_scal",
        "loss_point_ce",
        "loss_point_lovasz",
        "iou",
        "miou",
    }
    assert all(value.ndim == 0 and value.isfinite() for value in losses.values())
    assert 0 <= losses["miou"] <= losses["iou"] <= 1


def test_weights_scale_and_switch_losses():
    voxel, image = _features()
    base = _head().loss(voxel, _batch(), _samples(), image)
    weights = {"voxel_ce": 3.0, "voxel_geo_scal": 0.0, "voxel_lovasz": 0.5, "point_ce": 0.0}
    losses = _head(loss_weights=weights, train_metrics=False).loss(
        voxel, _batch(), _samples(), image
    )
    assert set(losses) == {
        "loss_voxel_ce",
        "loss_voxel_sem_scal",
        "loss_voxel_lovasz",
        "loss_point_lovasz",
    }
    torch.testing.assert_close(losses["loss_voxel_ce"], 3 * base["loss_voxel_ce"])


class TestSubvoxels:
    def test_parts_lie_inside_their_voxel(self):
        """Channels (class, sx, sy, sz): part (1, 0, 2) of voxel (2, 1, 0) is cell (5, 1, 2)."""
        head = _head(subvoxels=(2, 1, 3), point_supervision=None)
        voxel, _ = _features()
        plain = head.classifier(head.stem(voxel)).unflatten(1, (20, 2, 1, 3))
        logits = head(voxel)
        assert logits.shape == (2, 20, 8, 4, 6)
        torch.testing.assert_close(logits[:, :, 5, 1, 2], plain[:, :, 1, 0, 2, 2, 1, 0])

    def test_a_surface_thinner_than_a_voxel(self):
        """With four parts along z, one layer of a quarter voxel can be told from its neighbours."""
        head = _head(subvoxels=(1, 1, 4), point_supervision=None)
        weight = torch.zeros(20, 4, 8)
        weight[9, 2] = 1.0  # class 9 in the third quarter
        weight[0] = 0.5
        head.classifier.weight.data = weight.view(80, 8, 1, 1, 1)
        head.stem = torch.nn.Identity()
        classes = head(torch.ones(1, 8, 1, 1, 2)).argmax(dim=1).flatten()
        assert classes.tolist() == [0, 0, 9, 0, 0, 0, 9, 0]


class TestLossStride:
    def test_all_starts_together_see_every_voxel_once(self, monkeypatch):
        """Stride 2, labels of even size: the eight parts' cross entropies average to the whole."""
        voxel, image = _features()
        batch, samples = _batch(), _samples()
        whole = _head(class_weights=None).loss(voxel, batch, samples, image)
        head = _head(class_weights=None, loss_stride=2)
        parts = []
        for start in itertools.product((0, 1), repeat=3):
            monkeypatch.setattr(torch, "randint", lambda *_, start=start: torch.tensor(start))
            parts.append(head.loss(voxel, batch, samples, image)["loss_voxel_ce"])
        torch.testing.assert_close(torch.stack(parts).mean(), whole["loss_voxel_ce"])

    def test_starts_change(self):
        voxel, image = _features()
        batch, samples, head = _batch(), _samples(), _head(loss_stride=2)
        losses = {
            head.loss(voxel, batch, samples, image)["loss_voxel_ce"].item() for _ in range(20)
        }
        assert len(losses) > 1


def test_without_points_neither_points_nor_image_are_needed():
    voxel, _ = _features()
    losses = _head(point_supervision=None).loss(voxel, {}, _samples(), None)
    assert "loss_point_ce" not in losses


@pytest.mark.parametrize("fill", [255, 0, 7])
@pytest.mark.parametrize("points", [0, 3])
def test_degenerate_targets_stay_finite(fill, points):
    head = _head()
    voxel, image = _features(requires_grad=True)
    losses = head.loss(voxel, _batch(points), _samples(fill), image)
    total = sum(value for name, value in losses.items() if name.startswith("loss"))
    assert total.isfinite()
    if fill == 255:
        assert losses["loss_voxel_ce"] == losses["loss_voxel_sem_scal"] == 0
    total.backward()
    assert voxel.grad.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_keeps_losses_in_float32(dtype):
    head = _head()
    voxel, image = _features()
    expected = head.loss(voxel, _batch(), _samples(), image)
    with torch.autocast("cpu", dtype=dtype):
        losses = head.loss(voxel, _batch(), _samples(), image)
    for name, value in losses.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected[name], rtol=0.05, atol=0.05)


def test_predict_upsamples_to_any_grid():
    head, (voxel, _) = _head(), _features()
    assert head(voxel).shape == (2, 20, 4, 4, 2)
    assert head.predict(voxel, GRID).shape == (2, 20, *GRID)
    torch.testing.assert_close(head.predict(voxel, (4, 4, 2)), head(voxel))


def test_upsampling_aligns_cell_borders():
    """From 2 to 4 cells along x: centres at 1/4, 3/4 -> 1/8, 3/8, 5/8, 7/8."""
    head = _head()
    head._classify = lambda voxel: voxel
    coarse = torch.tensor([0.0, 4.0]).view(1, 1, 2, 1, 1)
    assert head.predict(coarse, (4, 1, 1)).flatten().tolist() == [0, 1, 3, 4]


def test_checkpointing_changes_no_number():
    voxel, image = _features()
    results = []
    for with_cp in (False, True):
        head = _head(with_cp=with_cp)
        losses = head.loss(voxel.requires_grad_(), _batch(), _samples(), image)
        sum(v for k, v in losses.items() if k.startswith("loss")).backward()
        results.append([p.grad.clone() for p in head.parameters()])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


def test_class_weights():
    weights = _head().class_weights
    # Class 0 of SemanticKITTI: 5.41773033e9 training voxels.
    assert weights[0].item() == pytest.approx(1 / math.log(5.41773033e9 + 0.001), rel=1e-6)
    assert "class_weights" not in _head().state_dict()
    assert _head(class_weights=None).class_weights is None
    with pytest.raises(ValueError, match="3 class_weights for 20 classes"):
        _head(class_weights=[1, 2, 3])
    with pytest.raises(ValueError, match="'balanced'"):
        _head(class_weights="balanced")
    with pytest.raises(ValueError, match="voxel_dice"):
        _head(loss_weights={"voxel_dice": 1.0})


def test_full_size_parameter_count_is_the_released_one():
    head = OccupancyHead(point_supervision={"type": "PointSupervision"})
    assert sum(p.numel() for p in head.parameters()) == 2_470_870


def test_missing_data_is_named():
    voxel, image = _features()
    with pytest.raises(KeyError, match="08/000005 has no gt_voxels"):
        _head().loss(
            voxel, _batch(), [Det3DDataSample(metainfo=s.metainfo) for s in _samples()], image
        )
    batch = _batch()
    del batch["point_uvd"]
    with pytest.raises(KeyError, match="no point_uvd"):
        _head().loss(voxel, batch, _samples(), image)
