from __future__ import annotations

import pytest
import torch

from htcl.models.heads import PointSupervision

RANGE = (0.0, -4.0, -1.0, 16.0, 4.0, 1.0)
GRID = (16, 8, 4)  # voxels of 1 x 1 x 0.5 m


def _module(axes="xyz", channels=3):
    torch.manual_seed(0)
    return PointSupervision(channels, 5, 4, RANGE, sample_axes=axes)


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


def test_swapped_reads_x_along_z_and_z_along_x():
    """A point at 1/4, 1/2, 3/4 of the range is read at 3/4, 1/2, 1/4 of it."""
    point = torch.tensor([[4.0, 0.0, 0.5]])
    read = _module("swapped")._sample_voxel(_centres(), point)
    torch.testing.assert_close(read, torch.tensor([[12.0, 0.0, -0.5]]))


def test_outside_the_grid_reads_zero():
    points = torch.tensor([[40.0, 0.0, 0.0], [5.0, 30.0, 0.0]])
    assert (_module()._sample_voxel(_centres(), points) == 0).all()


def test_image_is_read_only_where_the_camera_sees_the_point():
    image = torch.ones(5, 6, 10)
    uvd = torch.tensor([[0.1, -0.2, 7.0], [0.1, -0.2, 0.0], [1.0, 0.0, 7.0], [0.0, -1.3, 7.0]])
    read = _module()._sample_image(image, uvd)
    assert read.sum(dim=1).tolist() == [5, 0, 0, 0]


def test_samples_of_a_batch_read_their_own_volume():
    module = _module(channels=4).eval()
    voxel, image = torch.randn(2, 4, *GRID), torch.randn(2, 5, 6, 10)
    points = [torch.rand(3, 3), torch.rand(2, 3) * 4]
    uvd = [torch.rand(3, 3), torch.rand(2, 3)]
    together = module(voxel, image, points, uvd)
    apart = [
        module(voxel[i : i + 1], image[i : i + 1], points[i : i + 1], uvd[i : i + 1])
        for i in (0, 1)
    ]
    torch.testing.assert_close(together, torch.cat(apart))


def test_losses_reach_all_inputs():
    module = _module(channels=4)
    voxel = torch.randn(1, 4, *GRID, requires_grad=True)
    image = torch.randn(1, 5, 6, 10, requires_grad=True)
    points = [torch.tensor([[4.0, 0.0, 0.1], [9.0, 1.0, 0.2]])]
    uvd = [torch.tensor([[0.1, 0.2, 4.0], [0.3, 0.2, 9.0]])]
    losses = module.loss(voxel, image, points, uvd, [torch.tensor([1, 3])])
    assert set(losses) == {"point_ce", "point_lovasz"}
    sum(losses.values()).backward()
    assert voxel.grad.abs().sum() > 0
    assert image.grad.abs().sum() > 0
    assert all(p.grad is not None for p in module.parameters())


@pytest.mark.parametrize("labels", [[], [0, 0]])
def test_no_scored_point_gives_zero_on_the_graph(labels):
    module = _module(channels=4)
    count = len(labels)
    voxel = torch.randn(1, 4, *GRID, requires_grad=True)
    losses = module.loss(
        voxel,
        torch.randn(1, 5, 6, 10),
        [torch.rand(count, 3)],
        [torch.rand(count, 3)],
        [torch.tensor(labels, dtype=torch.long)],
    )
    assert [v.item() for v in losses.values()] == [0, 0]
    sum(losses.values()).backward()
    # Data-parallel training waits for a gradient of every parameter.
    assert all((p.grad == 0).all() for p in module.parameters())


def test_errors_name_the_problem():
    with pytest.raises(ValueError, match="sample_axes is 'zyx'"):
        PointSupervision(sample_axes="zyx")
    with pytest.raises(ValueError, match="point_cloud_range"):
        PointSupervision(point_cloud_range=(0, 0, 0, 0, 1, 1))
    module = _module(channels=4)
    voxel, image = torch.randn(1, 4, *GRID), torch.randn(1, 5, 6, 10)
    with pytest.raises(ValueError, match="3 points but 2 rows of point_uvd"):
        module(voxel, image, [torch.rand(3, 3)], [torch.rand(2, 3)])
    with pytest.raises(ValueError, match="different sizes"):
        module(voxel, image, [torch.rand(3, 3)] * 2, [torch.rand(3, 3)] * 2)
    with pytest.raises(ValueError, match="1 point_labels"):
        module.loss(voxel, image, [torch.rand(2, 3)], [torch.rand(2, 3)], [torch.tensor([1])])
