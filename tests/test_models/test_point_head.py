from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.geometry import VoxelGrid
from htcl.losses import PointCrossEntropy, PointLovasz
from htcl.models.heads import PointHead

RANGE = (0.0, -4.0, -1.0, 16.0, 4.0, 1.0)
GRID = (16, 8, 4)  # voxels of 1 x 1 x 0.5 m


def _module(axes="xyz", channels=3):
    torch.manual_seed(0)
    specification = replace(SEMANTICKITTI, grid=VoxelGrid.from_range(RANGE, (1, 1, 0.5)))
    return PointHead(channels, 5, specification, sample_axes=axes)


def _losses(module, voxel, image, points, uvd, labels):
    logits = module(voxel, image, points, uvd)
    return [loss(logits, torch.cat(labels)) for loss in (PointCrossEntropy(), PointLovasz())]


def _centres():
    """A volume whose three channels are the voxel centres (x, y, z)."""
    axes = [
        low + (torch.arange(n) + 0.5) * (high - low) / n
        for low, high, n in zip(RANGE[:3], RANGE[3:], GRID, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def test_xyz_samples_the_point_itself():
    points = torch.tensor([[3.2, -1.7, 0.4], [12.5, 2.0, -0.3]])
    torch.testing.assert_close(_module()._sample_voxel(_centres(), points), points)


def test_released_reads_x_along_z_and_z_along_x():
    """A point at 1/4, 1/2, 3/4 of the range is read at 3/4, 1/2, 1/4 of it."""
    point = torch.tensor([[4.0, 0.0, 0.5]])
    read = _module("released")._sample_voxel(_centres(), point)
    torch.testing.assert_close(read, torch.tensor([[12.0, 0.0, -0.5]]))


def test_outside_the_grid_reads_zero():
    points = torch.tensor([[40.0, 0.0, 0.0], [5.0, 30.0, 0.0]])
    assert (_module()._sample_voxel(_centres(), points) == 0).all()


def test_image_is_read_only_where_the_camera_sees_the_point():
    image = torch.ones(1, 5, 6, 10)
    uvd = torch.tensor([[[0.1, -0.2, 7.0], [0.1, -0.2, 0.0], [1.0, 0.0, 7.0], [0.0, -1.3, 7.0]]])
    read = _module()._sample_images(image, uvd)
    assert read.sum(dim=1).tolist() == [5, 0, 0, 0]


def test_cameras_that_see_a_point_are_averaged():
    """Maps full of 1 and of 3; the points are seen by the first, the second, both, none."""
    images = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1).expand(2, 5, 6, 10)
    inside, outside, behind = [0.1, 0.2, 7.0], [1.2, 0.2, 7.0], [0.1, 0.2, 0.0]
    uvd = torch.tensor([[inside, outside, inside, behind], [behind, inside, inside, outside]])
    read = _module()._sample_images(images, uvd)
    torch.testing.assert_close(read[:, 0], torch.tensor([1.0, 3, 2, 0]))


def test_samples_of_a_batch_read_their_own_volume():
    module = _module(channels=4).eval()
    voxel, image = torch.randn(2, 4, *GRID), torch.randn(2, 3, 5, 6, 10)
    points = [torch.rand(3, 3), torch.rand(2, 3) * 4]
    uvd = [torch.rand(3, 3, 3), torch.rand(3, 2, 3)]
    together = module(voxel, image, points, uvd)
    apart = [
        module(voxel[i : i + 1], image[i : i + 1], points[i : i + 1], uvd[i : i + 1])
        for i in (0, 1)
    ]
    torch.testing.assert_close(together, torch.cat(apart))


def test_losses_reach_all_inputs():
    module = _module(channels=4)
    voxel = torch.randn(1, 4, *GRID, requires_grad=True)
    image = torch.randn(1, 1, 5, 6, 10, requires_grad=True)
    points = [torch.tensor([[4.0, 0.0, 0.1], [9.0, 1.0, 0.2]])]
    uvd = [torch.tensor([[[0.1, 0.2, 4.0], [0.3, 0.2, 9.0]]])]
    sum(_losses(module, voxel, image, points, uvd, [torch.tensor([1, 3])])).backward()
    assert voxel.grad.abs().sum() > 0
    assert image.grad.abs().sum() > 0
    assert all(p.grad is not None for p in module.parameters())


@pytest.mark.parametrize("labels", [[], [0, 0]])
def test_no_scored_point_gives_zero_on_the_graph(labels):
    module = _module(channels=4)
    count = len(labels)
    voxel = torch.randn(1, 4, *GRID, requires_grad=True)
    losses = _losses(
        module,
        voxel,
        torch.randn(1, 1, 5, 6, 10),
        [torch.rand(count, 3)],
        [torch.rand(1, count, 3)],
        [torch.tensor(labels, dtype=torch.long)],
    )
    assert [value.item() for value in losses] == [0, 0]
    sum(losses).backward()
    # Data-parallel training waits for a gradient of every parameter.
    assert all((p.grad == 0).all() for p in module.parameters())


def test_errors_name_the_problem():
    with pytest.raises(ValueError, match="sample_axes='zyx'"):
        _module("zyx")
    module = _module(channels=4)
    voxel, image = torch.randn(1, 4, *GRID), torch.randn(1, 1, 5, 6, 10)
    with pytest.raises(ValueError, match=r"3 points and 1 images.*\(1, 2, 3\)"):
        module(voxel, image, [torch.rand(3, 3)], [torch.rand(1, 2, 3)])
    with pytest.raises(ValueError, match="different sizes"):
        module(voxel, image, [torch.rand(3, 3)] * 2, [torch.rand(1, 3, 3)] * 2)


def test_only_a_training_needs_points():
    assert PointHead.training_inputs == {"points"}
    assert not hasattr(PointHead, "required_inputs")
