from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from htcl.config import load_config
from htcl.engine.fake_tensors import add_targets
from htcl.engine.part_recorder import PartRecorder
from htcl.engine.runner import load_model
from htcl.engine.synthetic_input import set_input_size, synthetic_inputs
from htcl.engine.training_memory import estimate_training_memory, format_training
from htcl.ops import gpu_operators


@pytest.fixture
def config(repo_root):
    def load(name, **options):
        return load_config(repo_root / f"projects/configs/occupancy/{name}.py", options)

    return load


def small(cfg):
    set_input_size(cfg, (64, 160))
    return cfg


def test_shapes_alone_hold_what_a_real_step_does(config):
    cfg = small(config("mini/htcl_mono"))
    found = estimate_training_memory(cfg)
    model = load_model(cfg, None).train()
    inputs, samples = add_targets(model, synthetic_inputs(model, tuple(cfg.input_size)))
    # One moment that the optimiser would hold, and another.
    moments = [torch.empty_like(parameter) for parameter in 2 * list(model.parameters())]
    given = [value for value in inputs.values() if isinstance(value, torch.Tensor)]
    given += [*model.parameters(), *model.buffers(), *moments]
    recorder = PartRecorder(model, FlopCounterMode(display=False), given, None)
    with gpu_operators(), recorder:
        losses = model(inputs, samples, mode="loss")
        sum(value for name, value in losses.items() if "loss" in name).backward()
    assert found.peak_bytes == pytest.approx(max(recorder.peaks.values()), rel=0.02)
    assert found.fits and found.peak_part in recorder.peaks
    weights = sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])
    gradients = sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    assert found.held_bytes == weights + 3 * gradients


def test_what_saves_memory(config):
    """Checkpointing, half precision and a smaller batch do."""
    cfg = small(config("mini/htcl_mono", **{"model.label_stride": 1}))
    plain = estimate_training_memory(cfg)
    assert estimate_training_memory(cfg, amp="bfloat16").peak_bytes < plain.peak_bytes
    assert estimate_training_memory(cfg, batch=2).peak_bytes > 1.5 * plain.peak_bytes
    cfg.model.checkpointing = ["voxel_encoder", "voxel_neck"]
    saved = estimate_training_memory(cfg)
    assert saved.peak_bytes < plain.peak_bytes
    assert saved.held_bytes == plain.held_bytes
    text = format_training({"checkpointing": saved, "no checkpointing": plain}, 1, None)
    assert text.count("fits in 24 GiB") == 2 and "estimated" in text


@pytest.mark.slow
def test_full_size_training_in_24_gib(config):
    """In bfloat16 without checkpointing too, in float32 with it alone."""
    cfg = config("semantickitti/temporal_baseline")
    assert estimate_training_memory(cfg, amp="bfloat16").peak_bytes < 8.5 * 2**30
    assert estimate_training_memory(cfg).fits
    cfg.model.checkpointing = []
    assert estimate_training_memory(cfg, amp="bfloat16").fits
    assert not estimate_training_memory(cfg).fits


@pytest.mark.slow
@pytest.mark.parametrize(("checkpointed", "measured"), [(True, 8.5), (False, 22.7)])
def test_estimate_of_what_a_gpu_measured(config, monkeypatch, checkpointed, measured):
    """GiB of one H200 in bfloat16, at 9be68e5: before layers were exchanged for faster ones."""
    monkeypatch.setattr("htcl.models.htcl.exchange_layers", lambda model: None)

    def in_float32(norm, x):
        # As autocast does on a GPU, but not on a CPU.
        return F.group_norm(x.float(), norm.num_groups, norm.weight, norm.bias, norm.eps)

    monkeypatch.setattr(torch.nn.GroupNorm, "forward", in_float32)
    cfg = config("semantickitti/temporal_baseline")
    if not checkpointed:
        cfg.model.checkpointing = []
    found = estimate_training_memory(cfg, amp="bfloat16").peak_bytes
    assert found / 2**30 == pytest.approx(measured, rel=0.15)
    print(f"estimated {found / 2**30:.2f} GiB, measured {measured}")


@pytest.mark.slow
def test_step_on_kitti360(config):
    """Forward and backward pass at full size, 384 x 1408 pixels and 19 classes."""
    cfg = config("kitti360/htcl_egopose")
    found = estimate_training_memory(cfg, amp="bfloat16")
    # A tenth more pixels than on SemanticKITTI.
    assert 7 * 2**30 < found.peak_bytes < 8.5 * 2**30 and found.fits
