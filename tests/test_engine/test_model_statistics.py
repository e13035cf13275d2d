from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from htcl.config import load_config
from htcl.engine.model_statistics import measure
from htcl.engine.synthetic_input import set_input_size, synthetic_inputs
from htcl.errors import InvalidValueError
from htcl.geometry import DepthBins
from htcl.models.layers import search_cells


@pytest.fixture
def config(repo_root):
    def load(name):
        return load_config(repo_root / f"projects/configs/occupancy/{name}.py")

    return load


def by_name(found):
    return {part.name: part for part in found.parts}


def test_shapes_alone_count_what_a_real_pass_does(config):
    """Same FLOPs, and nearly the same memory, with and without computing."""
    shapes, real = (measure(config("mini/htcl_egopose"), device) for device in ("none", "cpu"))
    assert shapes.seconds is None and real.seconds > 0
    assert {p.name: p.flops for p in shapes.parts} == {
        p.name: pytest.approx(p.flops, rel=1e-3) for p in real.parts
    }
    assert shapes.total.peak_bytes == pytest.approx(real.total.peak_bytes, rel=0.05)
    assert shapes.total.parameters == sum(p.parameters for p in shapes.parts)


def test_numbers_that_can_be_worked_out(config):
    parts = by_name(measure(config("mini/htcl_mono")))
    assert "stereo" not in parts and "temporal" not in parts
    # The logits of 20 classes at 256 x 256 x 32 in float32 alone are 160 MiB.
    assert parts["head"].peak_bytes > 160 * 2**20
    twice = by_name(measure(config("mini/htcl_mono"), batch=2))
    for name in ("img_backbone", "voxel_encoder", "head"):
        assert twice[name].flops == 2 * parts[name].flops
        assert twice[name].parameters == parts[name].parameters


def test_full_size_network(config, monkeypatch):
    """The house plan's numbers of the released network, which were counted by other means."""
    ours = by_name(measure(config("semantickitti/htcl_egopose")))
    # The plan's network makes maps larger before the 1x1 convolutions, which ours does after them.
    monkeypatch.setattr(
        search_cells, "project_resized", lambda layer, x, size: layer(search_cells.resize(x, size))
    )
    parts = by_name(measure(config("semantickitti/htcl_egopose")))
    # Interpolating the logits of 20 classes: 128 cells to 256 along y, then x; 16 to 32 along z.
    resampling = 2 * 20 * 128 * 256 * (128 * 32 + 256 * 32) / 1e9
    resampling += 2 * 20 * 128 * 128 * 16 * 32 / 1e9
    # The plan's means knew no deformable convolution: 640 channels in 4 groups, 3 x 3.
    deformable = 2 * 640 * (640 // 4) * 9 * 48 * 160 / 1e9
    for name, gflop in {
        "voxel_encoder": 1548,
        "head": 1046 + resampling,
        "depth_net": 608 + deformable,
        "depth_fusion": 322,
    }.items():
        assert parts[name].flops / 1e9 == pytest.approx(gflop, abs=1)
    # The stereo features come on top of the matching's 776.
    assert 776 < parts["stereo"].flops / 1e9 < 790
    assert ours["stereo"].flops < 0.99 * parts["stereo"].flops
    total = sum(p.flops for p in parts.values()) / 1e9
    assert total == pytest.approx(5372 + resampling + deformable, abs=5)


def test_size(config):
    cfg = config("mini/htcl_mono")
    set_input_size(cfg, (64, 160))
    found = measure(cfg)
    assert found.input_shapes["images"] == (1, 1, 3, 64, 160)
    with pytest.raises(InvalidValueError, match="multiples of 32"):
        set_input_size(cfg, (70, 160))


def test_inputs_follow_the_model():
    class Model:
        required_inputs = frozenset({"images"})

    inputs = synthetic_inputs(Model(), (96, 320), 2)
    assert set(inputs) == {"images", "cameras"}
    # The optical axis lies where KITTI's does: 320 / 1241 of 607, a little above the middle of the
    # 96 rows at the bottom of 97.
    camera = inputs["cameras"][0, 0]
    axis = camera.image_transform @ camera.intrinsics[:3, 2]
    torch.testing.assert_close(axis[:2], torch.tensor([156.20, 46.39]), atol=0.1, rtol=0)


def test_inputs_of_a_rig_with_history():
    class Model:
        required_inputs = frozenset(
            {"images", "right", "history", "history_right", "current_from_history"}
        )
        num_history = 2

    inputs = synthetic_inputs(Model(), (64, 160), batch=3, num_cameras=2)
    shapes = {key: tuple(value.shape) for key, value in inputs.items()}
    image, rig = (3, 64, 160), (3, 2)
    assert shapes == {
        "images": (*rig, *image),
        "cameras": rig,
        "right": (*rig, *image),
        "focal_baseline": rig,
        "history": (3, 2, 2, *image),
        "history_right": (3, 2, 2, *image),
        "current": (*rig, *image),
        "history_cameras": rig,
        "current_from_history": (3, 2, 2, 4, 4),
    }
    # Oldest first; a point ahead has come nearer since.
    torch.testing.assert_close(
        inputs["current_from_history"][0, :, :, 2, 3], torch.tensor([[-1.0] * 2, [-0.5] * 2])
    )


def test_inputs_with_external_depth():
    class Model:
        required_inputs = frozenset({"images", "depth_prior", "history_depth_prior"})
        num_history = 2
        stereo = SimpleNamespace(depth_bins=DepthBins(2.0, 10.0, 1.0))

    inputs = synthetic_inputs(Model(), (64, 160), num_cameras=2)
    assert inputs["depth_prior"].shape == (1, 2, 8, 8, 20)
    assert inputs["history_depth_prior"].shape == (1, 2, 2, 8, 8, 20)
    torch.testing.assert_close(inputs["depth_prior"].sum(dim=2), torch.ones(1, 2, 8, 20))


@pytest.mark.gpu
def test_on_a_gpu(config):
    found = measure(config("mini/htcl_egopose"), "cuda")
    assert found.seconds > 0 and found.total.peak_bytes > 100 * 2**20
