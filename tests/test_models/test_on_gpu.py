"""Operators and a whole toy network on a real GPU, against the CPU."""

from __future__ import annotations

import pytest
import torch

from htcl.config import load_config
from htcl.engine.fake_tensors import map_tensors
from htcl.engine.runner import load_model
from htcl.engine.synthetic_input import set_input_size, synthetic_inputs
from htcl.models.fast_layers import fold_batch_norms
from htcl.ops import build_splat_index, lift_splat, plane_cost_volume
from htcl.ops.normalization import group_norm

pytestmark = pytest.mark.gpu
GPU = torch.device("cuda")


@pytest.fixture
def scene(repo_root):
    """The mini network with everything, and a batch of noise."""
    cfg = load_config(repo_root / "projects/configs/occupancy/mini/htcl_plus.py")
    set_input_size(cfg, (64, 160))
    model = load_model(cfg, None)
    return model, synthetic_inputs(model, tuple(cfg.input_size))


def both(function, *tensors):
    """Results and gradients on the CPU and on the GPU."""
    found = []
    for device in ("cpu", GPU):
        leaves = [tensor.detach().to(device).requires_grad_() for tensor in tensors]
        out = function(*leaves)
        weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
        gradients = torch.autograd.grad((out * weight.to(device)).sum(), leaves)
        found.append([tensor.cpu() for tensor in (out, *gradients)])
    return found


def assert_alike(pair):
    for on_cpu, on_gpu in zip(*pair, strict=True):
        torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-3, atol=1e-3)


def test_group_norm():
    tensors = torch.randn(2, 8, 5, 6, 7), torch.randn(8), torch.randn(8)
    assert_alike(both(lambda x, w, b: group_norm(x, 2, w, b, 1e-5), *tensors))


def test_cost_volume():
    disparity = torch.tensor([[0.0, 1.5, 3.25, 9.0], [-1.0, 0.5, 2.0, 5.75]])

    def volume(left, right):
        return plane_cost_volume(left, right, disparity.to(left.device), 6)

    assert_alike(both(volume, torch.randn(2, 3, 4, 12), torch.randn(2, 3, 4, 12)))


def test_lift_splat():
    voxels = torch.randint(-1, 12, (2, 1, 4, 3, 5))

    def lift(prob, context):
        index = build_splat_index(voxels.to(prob.device), (2, 3, 2))
        return lift_splat(prob, context, index)

    assert_alike(both(lift, torch.rand(2, 4, 3, 5), torch.randn(2, 6, 3, 5)))


def test_a_folded_prediction_waits_for_nothing(scene):
    model, batch = scene
    with torch.no_grad():
        expected = model(batch, mode="tensor")
        model = fold_batch_norms(model).to(GPU)
        batch = map_tensors(dict(batch), lambda tensor: tensor.to(GPU))
        model(batch, mode="tensor")  # libraries set themselves up
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            found = model(batch, mode="tensor")
        finally:
            torch.cuda.set_sync_debug_mode("default")
    error = (found.cpu() - expected).norm() / expected.norm()
    assert error < 0.02
