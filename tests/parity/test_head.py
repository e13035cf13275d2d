"""The occupancy head, the point head and their losses against the released head."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from htcl.checkpoint.released_voxel import RULES
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.specification import build_specification
from htcl.evaluation.ssc_confusion import confusion_matrix, ssc_scores
from htcl.losses import (
    GeometricScal,
    PointCrossEntropy,
    PointLovasz,
    SemanticScal,
    VoxelCrossEntropy,
    VoxelPrediction,
)
from htcl.models.heads import OccupancyHead, PointHead
from htcl.ops import trilinear_resample


@pytest.fixture
def heads(load_fixture, load_released_weights):
    fixture = load_fixture("occ_head")
    grid = {"point_cloud_range": fixture.meta["point_cloud_range"], "voxel_size": 0.2}
    specification = build_specification({"base": "SemanticKITTI", "grid": grid})
    parts = nn.ModuleDict(
        {
            "head": OccupancyHead(384, 192, specification),
            "point_head": PointHead(384, 640, specification, sample_axes="released"),
        }
    )
    load_released_weights(parts, fixture.meta, fixture.meta["root"], "", RULES)
    return parts, fixture


def _point_logits(parts, fixture):
    with torch.no_grad():
        return parts["point_head"](
            fixture.in_voxel,
            fixture.in_img_feats,
            [fixture.in_points],
            [fixture.in_points_uv.transpose(0, 1)],
        )


def test_voxel_logits(heads, assert_parity):
    parts, fixture = heads
    with torch.no_grad():
        logits = parts["head"](fixture.in_voxel)
    assert_parity(logits, fixture.out_logits)
    upsampled = trilinear_resample(logits, (16, 16, 8))
    assert_parity(upsampled[:, ::2, ::2], fixture.out_upsampled)


def test_point_logits(heads, assert_parity):
    assert_parity(_point_logits(*heads), heads[1].out_point_logits)


def test_right_axes_give_other_point_logits(heads):
    parts, fixture = heads
    parts["point_head"].axes = parts["point_head"].axes[::-1]
    assert not torch.allclose(_point_logits(parts, fixture), fixture.out_point_logits, atol=1e-2)


def test_loss_dict(load_fixture):
    """The release's whole loss dict, from the fixture's logits."""
    fixture = load_fixture("head_loss_dict")
    target = fixture.in_target.to(torch.uint8)
    prediction = VoxelPrediction(trilinear_resample(fixture.in_logits, target.shape[1:]), target)
    on_voxels = [
        VoxelCrossEntropy(20, SEMANTICKITTI.class_counts),
        SemanticScal(),
        GeometricScal(),
    ]
    actual = {loss.name: loss(prediction) for loss in on_voxels}
    for loss in (PointCrossEntropy(), PointLovasz()):
        actual[loss.name] = loss(fixture.in_point_logits, fixture.in_point_target)
    confusion = confusion_matrix(prediction.logits.argmax(dim=1), prediction.target, 20, 255)
    scores = ssc_scores(confusion.numpy())
    actual["iou"] = torch.tensor(scores.completion_iou)
    actual["miou"] = torch.tensor(scores.mean_iou)
    expected = {
        "voxel_ce": fixture.out_loss_voxel_ce_0,
        "voxel_sem_scal": fixture.out_loss_voxel_sem_scal_0,
        "voxel_geo_scal": fixture.out_loss_voxel_geo_scal_0,
        "point_ce": fixture.out_loss_point_ce_,
        "point_lovasz": fixture.out_loss_point_lovasz_,
        "iou": fixture.out_sc_iou_0,
        # The release divides by the union plus 1e-5.
        "miou": fixture.out_ssc_miou_0,
    }
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=1e-5, atol=1e-6, msg=name)
