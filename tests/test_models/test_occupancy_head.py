from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.models.heads import OccupancyHead
from htcl.ops import trilinear_resample


def _head(**changes):
    torch.manual_seed(0)
    settings = {"in_channels": 16, "mid_channels": 8, "num_groups": 4}
    return OccupancyHead(**{**settings, "specification": SEMANTICKITTI, **changes})


def _voxel():
    torch.manual_seed(2)
    return torch.randn(2, 16, 4, 4, 2)


class TestSubvoxels:
    def test_parts_lie_inside_their_voxel(self):
        """Channels (class, sx, sy, sz): part (1, 0, 2) of voxel (2, 1, 0) is cell (5, 1, 2)."""
        head, voxel = _head(subvoxels=(2, 1, 3)), _voxel()
        plain = head.classifier(head.stem(voxel)).unflatten(1, (20, 2, 1, 3))
        logits = head(voxel)
        assert logits.shape == (2, 20, 8, 4, 6)
        torch.testing.assert_close(logits[:, :, 5, 1, 2], plain[:, :, 1, 0, 2, 2, 1, 0])

    def test_a_surface_thinner_than_a_voxel(self):
        """With four parts along z, one layer of a quarter voxel can be told from its neighbours."""
        head = _head(subvoxels=(1, 1, 4))
        weight = torch.zeros(20, 4, 8)
        weight[9, 2] = 1.0  # class 9 in the third quarter
        weight[0] = 0.5
        head.classifier.weight.data = weight.view(80, 8, 1, 1, 1)
        head.stem = torch.nn.Identity()
        classes = head(torch.ones(1, 8, 1, 1, 2)).argmax(dim=1).flatten()
        assert classes.tolist() == [0, 0, 9, 0, 0, 0, 9, 0]

    def test_errors(self):
        with pytest.raises(ValueError, match=r"subvoxels=\(2, 0, 1\)"):
            _head(subvoxels=(2, 0, 1))


@pytest.mark.parametrize("subvoxels", [(1, 1, 1), (2, 2, 1), (2, 1, 4)])
@pytest.mark.parametrize(("start", "stride"), [((0, 0, 0), 2), ((2, 0, 1), 3)])
def test_at_some_voxels_is_all_of_them_and_then_some(operators, subvoxels, start, stride):
    """Numbers and gradients, where the labels are as fine as the parts and where they are finer."""
    size = (16, 10, 8)
    some = (..., *(slice(first, None, stride) for first in start))
    results = []
    for strided in (False, True):
        head, voxel = _head(subvoxels=subvoxels), _voxel().requires_grad_()
        if strided:
            logits = head(voxel, size, start, stride)
        else:
            logits = F.interpolate(head(voxel), size, mode="trilinear", align_corners=False)[some]
        weights = torch.arange(logits.numel()).view(logits.shape) % 7
        (logits * weights).sum().backward()
        gradients = [voxel.grad, *(p.grad for p in head.parameters())]
        results.append([logits.detach(), *gradients])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_as_many_classes_as_the_specification_has():
    logits = _head()(_voxel())
    assert logits.shape == (2, 20, 4, 4, 2)
    merged = SEMANTICKITTI.merged({"vehicle": ["car", "truck", "other-vehicle"]})
    assert _head(specification=merged)(_voxel()).shape == (2, 18, 4, 4, 2)


def test_names_of_weights():
    names = list(_head().state_dict())
    assert names == ["stem.conv.weight", "stem.gn.weight", "stem.gn.bias", "classifier.weight"]


def test_upsampling_aligns_cell_borders():
    """From 2 to 4 cells along x: centres at 1/4, 3/4 -> 1/8, 3/8, 5/8, 7/8."""
    coarse = torch.tensor([0.0, 4.0]).view(1, 1, 2, 1, 1)
    assert trilinear_resample(coarse, (4, 1, 1)).flatten().tolist() == [0, 1, 3, 4]
