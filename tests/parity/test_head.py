"""The occupancy head with its point branch against the released head."""

from __future__ import annotations

import pytest
import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.structures import BaseDataElement

from htcl.checkpoint.released_voxel import RULES
from htcl.models.heads import OccupancyHead


@pytest.fixture
def head(load_fixture, load_released_weights):
    fixture = load_fixture("occ_head")
    module = OccupancyHead(
        point_supervision={
            "type": "PointSupervision",
            "point_cloud_range": fixture.meta["point_cloud_range"],
            "sample_axes": "swapped",
        }
    )
    load_released_weights(module, fixture.meta, fixture.meta["root"], "head", RULES)
    return module, fixture


def test_voxel_logits(head, assert_parity):
    module, fixture = head
    with torch.no_grad():
        assert_parity(module(fixture.in_voxel), fixture.out_logits)
        upsampled = module.predict(fixture.in_voxel, (16, 16, 8))
    assert_parity(upsampled[:, ::2, ::2], fixture.out_upsampled)


def test_point_logits(head, assert_parity):
    module, fixture = head
    with torch.no_grad():
        logits = module.point_supervision(
            fixture.in_voxel,
            fixture.in_img_feats[:, 0],
            [fixture.in_points],
            [fixture.in_points_uv[:, 0]],
        )
    assert_parity(logits, fixture.out_point_logits)


def test_right_axes_give_other_point_logits(head):
    module, fixture = head
    swapped = module.point_supervision.axes
    try:
        module.point_supervision.axes = swapped[::-1]
        with torch.no_grad():
            logits = module.point_supervision(
                fixture.in_voxel,
                fixture.in_img_feats[:, 0],
                [fixture.in_points],
                [fixture.in_points_uv[:, 0]],
            )
    finally:
        module.point_supervision.axes = swapped
    assert not torch.allclose(logits, fixture.out_point_logits, atol=1e-2)


def test_loss_dict(load_fixture, monkeypatch):
    """The release's whole loss dict, from the fixture's logits."""
    fixture = load_fixture("head_loss_dict")
    head = OccupancyHead(point_supervision={"type": "PointSupervision"})
    monkeypatch.setattr(OccupancyHead, "_classify", lambda self, voxel: voxel)
    monkeypatch.setattr(
        type(head.point_supervision), "forward", lambda self, *unused: fixture.in_point_logits
    )
    sample = Det3DDataSample()
    sample.gt_voxels = BaseDataElement(semantics=fixture.in_target[0].to(torch.uint8))
    batch = {"points": None, "point_uvd": None, "point_labels": [fixture.in_point_target]}
    losses = head.loss(fixture.in_logits, batch, [sample], None)
    expected = {
        "loss_voxel_ce": fixture.out_loss_voxel_ce_0,
        "loss_voxel_sem_scal": fixture.out_loss_voxel_sem_scal_0,
        "loss_voxel_geo_scal": fixture.out_loss_voxel_geo_scal_0,
        "loss_point_ce": fixture.out_loss_point_ce_,
        "loss_point_lovasz": fixture.out_loss_point_lovasz_,
        "iou": fixture.out_sc_iou_0,
        # The release divides by the union plus 1e-5.
        "miou": fixture.out_ssc_miou_0,
    }
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-5, atol=1e-6, msg=name)
