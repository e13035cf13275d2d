from __future__ import annotations

import numpy as np
import pytest
import torch
from reference_operators import plain_attention

from htcl.models.necks import TemporalVoxelAttention

GRID = (4, 3, 2)


@pytest.fixture
def fusion():
    torch.manual_seed(0)
    module = TemporalVoxelAttention(channels=8, num_heads=2, head_channels=3, gate_init=0.7)
    torch.nn.init.normal_(module.norm.weight)
    torch.nn.init.normal_(module.norm.bias)
    return module


def _volumes(batch=2, channels=8):
    torch.manual_seed(1)
    return torch.randn(2, batch, channels, *GRID).unbind(0)


def _by_loops(module, voxel, temporal):
    """Attention of one sample, written as sums over positions, in float64."""
    weights = {k: v.detach().double().numpy() for k, v in module.state_dict().items()}
    heads, width = module.num_heads, module.head_channels
    inner = heads * width
    x, t = (v.double().numpy().reshape(v.shape[0], -1) for v in (voxel, temporal))
    q = weights["to_q.weight"].reshape(inner, -1) @ x
    k, v = np.split(weights["to_qkv.weight"].reshape(3 * inner, -1)[inner:] @ t, 2)
    out = np.zeros_like(q)
    for h in range(heads):
        rows = range(h * width, (h + 1) * width)
        for n in range(x.shape[1]):
            query = np.exp(q[rows, n]) / np.exp(q[rows, n]).sum() / np.sqrt(width)
            for e in rows:
                out[e, n] = sum(
                    query[i] * (np.exp(k[d]) / np.exp(k[d]).sum() @ v[e])
                    for i, d in enumerate(rows)
                )
    y = weights["to_out.weight"].reshape(-1, inner) @ out + weights["to_out.bias"][:, None]
    y = (y - y.mean()) / np.sqrt(y.var() + 1e-5)
    return y * weights["norm.weight"][:, None] + weights["norm.bias"][:, None]


def test_equals_the_sums_over_positions(fusion):
    voxel, temporal = _volumes()
    with torch.no_grad():
        attention, fused = plain_attention(fusion, voxel, temporal), fusion(voxel, temporal)
    for b in range(2):
        expected = _by_loops(fusion, voxel[b], temporal[b]).reshape(8, *GRID)
        np.testing.assert_allclose(attention[b], expected, atol=1e-5)
        np.testing.assert_allclose(fused[b], voxel[b] + 0.7 * expected, atol=1e-5)


def test_folded_form_has_the_plain_forms_gradients(fusion):
    inputs = [v.requires_grad_() for v in _volumes()]
    weights = torch.randn(2, 8, *GRID)
    gradients = []
    plain = inputs[0] + fusion.gate * plain_attention(fusion, *inputs)
    for result in (plain, fusion(*inputs)):
        variables = [*inputs, *fusion.parameters()]
        gradients.append(torch.autograd.grad((weights * result).sum(), variables))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-5)


def test_closed_gate_passes_the_voxels_and_can_still_open(fusion):
    fusion.gate.data.zero_()
    voxel, temporal = _volumes()
    fused = fusion(voxel, temporal)
    torch.testing.assert_close(fused, voxel, rtol=0, atol=0)
    fused.square().sum().backward()
    assert fusion.gate.grad.abs().item() > 0
    assert TemporalVoxelAttention(channels=4).gate.item() == 0


def test_first_third_of_the_projection_is_unused(fusion):
    fusion(*_volumes()).square().sum().backward()
    gradient = fusion.to_qkv.weight.grad.flatten(1).abs().sum(dim=1)
    assert gradient.shape == (18,)
    assert (gradient[:6] == 0).all()
    assert (gradient[6:] > 0).all()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3])
def test_half_precision_stays_close_whatever_the_scale_of_the_history(fusion, scale):
    voxel, temporal = _volumes()
    temporal = temporal * scale
    expected = fusion(voxel, temporal)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = fusion(voxel.bfloat16(), temporal.bfloat16())
    assert actual.dtype == torch.bfloat16
    error = (actual.float() - expected).norm() / expected.norm()
    # The history's rounding is amplified where its values differ little from each other.
    assert error < 0.05


def test_empty_history_is_finite(fusion):
    voxel, _ = _volumes()
    assert fusion(voxel, torch.zeros_like(voxel)).isfinite().all()


def test_shapes_must_agree(fusion):
    voxel, temporal = _volumes()
    with pytest.raises(ValueError, match="must have one shape"):
        fusion(voxel, temporal[:, :, :2])


class TestPointwise:
    def test_changes_nothing_before_training(self, fusion):
        module = TemporalVoxelAttention(
            channels=8, num_heads=2, head_channels=3, gate_init=0.7, pointwise=True
        )
        module.load_state_dict(fusion.state_dict(), strict=False)
        torch.testing.assert_close(module(*_volumes()), fusion(*_volumes()))

    def test_adds_each_temporal_voxel_at_its_own_place(self):
        """Gate closed: out = voxel + W temporal; here W = 2 on the diagonal."""
        module = TemporalVoxelAttention(channels=8, pointwise=True)
        torch.nn.init.dirac_(module.pointwise.weight)
        module.pointwise.weight.data *= 2
        voxel, temporal = _volumes()
        torch.testing.assert_close(module(voxel, temporal), voxel + 2 * temporal)

    def test_the_attention_alone_forgets_where_the_history_was(self, fusion):
        """Moved temporal voxels give the same result: why ``pointwise`` exists."""
        voxel, temporal = _volumes()
        moved = temporal.flip(dims=(2, 3, 4))
        torch.testing.assert_close(fusion(voxel, moved), fusion(voxel, temporal))
