"""The cost volume on depth planes against its definition."""

from __future__ import annotations

import pytest
import torch
from reference_operators import disparity_volume, sample_planes

from htcl.ops import plane_cost_volume

pytestmark = pytest.mark.usefixtures("operators")


def features(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(shape, generator=generator, dtype=dtype) for _ in range(2))


def test_disparity_volume_by_hand():
    left = torch.tensor([[[[1.0, 2, 3]]]])
    right = torch.tensor([[[[4.0, 5, 6]]]])
    volume = disparity_volume(left, right, 4)[0, :, :, 0]
    assert volume[0].tolist() == [[1, 2, 3], [0, 2, 3], [0, 0, 3], [0, 0, 0]]
    assert volume[1].tolist() == [[4, 5, 6], [0, 4, 5], [0, 0, 4], [0, 0, 0]]


# In the range, between two, beyond the last disparity, negative, far away.
DISPARITY = torch.tensor(
    [[0.0, 1, 2.25, 6.5, 7, 7.75], [0.5, 3.999, 8, -0.25, -1, 95.7]], dtype=torch.float64
)


@pytest.mark.parametrize("sampling", ["exact", "released"])
@pytest.mark.parametrize("width", [12, 5])
def test_equals_definition(sampling, width):
    left, right = features(2, 3, 2, width)
    left, right = left.requires_grad_(), right.requires_grad_()
    direct = plane_cost_volume(left, right, DISPARITY, 8, sampling)
    volume = disparity_volume(left, right, 8)
    expected = sample_planes(volume, DISPARITY, sampling)
    torch.testing.assert_close(direct, expected)

    weight = torch.randn_like(direct)
    actual_grad = torch.autograd.grad((direct * weight).sum(), (left, right))
    expected_grad = torch.autograd.grad((expected * weight).sum(), (left, right))
    torch.testing.assert_close(actual_grad, expected_grad)


@pytest.mark.parametrize("sampling", ["exact", "released"])
def test_gradients(sampling):
    left, right = (f.requires_grad_() for f in features(2, 2, 1, 6))
    assert torch.autograd.gradcheck(
        lambda one, two: plane_cost_volume(one, two, DISPARITY, 8, sampling), (left, right)
    )


def test_views_match_at_the_plane_of_their_shift_only():
    """A fronto-parallel scene: the right view shows column x of the left one at x - 3."""
    scene = features(1, 4, 2, 19)[0]
    left, right = scene[..., :16], scene[..., 3:]
    volume = plane_cost_volume(left, right, torch.arange(6.0)[None], 6)
    difference = (volume[:, :4] - volume[:, 4:])[..., 5:].abs().amax(dim=(0, 1, 3, 4))
    assert difference[3] == 0
    assert (difference[[0, 1, 2, 4, 5]] > 0.1).all()


def test_fades_beyond_the_last_disparity():
    ones = torch.ones(1, 1, 1, 20)
    volume = plane_cost_volume(ones, ones, torch.tensor([[7.0, 7.5, 8, 9]]), 8)
    assert volume[0, :, :, 0, -1].tolist() == [[1, 0.5, 0, 0]] * 2


def test_errors():
    left, right = features(1, 2, 2, 8)
    with pytest.raises(ValueError, match="alike"):
        plane_cost_volume(left, right[:, 1:], DISPARITY[:1], 8)
    with pytest.raises(ValueError, match="at least 2"):
        plane_cost_volume(left, right, DISPARITY[:1], 1)
