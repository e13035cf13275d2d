"""Predictions by a network as a Predictor equal the plain ones; every variant at toy size.

Shape letters: X Y Z voxel.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.model import is_model_wrapper
from mmengine.registry import DATASETS, MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from htcl.command_line import PRECISIONS
from htcl.engine import predictor as predictor_module
from htcl.engine.predictor import _DTYPES, Predictor, compile_forward
from htcl.errors import InvalidValueError, NonFiniteError
from htcl.models.temporal import FrameMemory
from htcl.ops import gpu_operators

MONO = {"stereo": None, "depth_fusion": None}
STILL = {"temporal": None, "temporal_fusion": None}
VARIANTS = {"htcl": {}, "stereoscene": STILL, "mono": {**MONO, **STILL}, "mono_temporal": MONO}


@pytest.fixture(scope="module")
def cfg(load_tiny_config):
    return load_tiny_config()


@pytest.fixture(scope="module")
def stream(cfg):
    """Six samples in a row, the next frame each, whose history is that of every frame."""
    data = copy.deepcopy(cfg.train_dataloader.dataset)
    data.update(frames="images", labels=False, history_stride=1)
    dataset = DATASETS.build(data)
    return [dataset[index] for index in range(6)]


@pytest.fixture(scope="module")
def build(cfg):
    """Networks in eval mode whose batch norms do something and whose history counts."""

    def build(volume=None, **changes):
        torch.manual_seed(0)
        model = copy.deepcopy(cfg.model)
        if volume is not None:
            model.temporal.volume = {"type": volume}
        network = MODELS.build({**model, **changes}).eval()
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                nn.init.normal_(module.running_mean, std=0.2)
                nn.init.uniform_(module.running_var, 0.5, 2)
                if module.affine:
                    nn.init.uniform_(module.weight, 0.7, 1.4)
                    nn.init.normal_(module.bias, std=0.1)
        if network.temporal is not None:
            nn.init.constant_(network.temporal_fusion.gate, 0.5)
        return network

    return build


@pytest.fixture(scope="module")
def mono(build):
    """The cheapest network; tests that change it take copies."""
    return build(**VARIANTS["mono"])


def collate(*samples):
    return pseudo_collate(copy.deepcopy(list(samples)))


def logits_of(network, sample):
    """Logits (1, K, X, Y, Z) without a Predictor."""
    with torch.no_grad():
        return network(**network.data_preprocessor(collate(sample)), mode="tensor")


def norms_after_convolutions(network):
    """Batch norms whose module registered a convolution just before them."""
    found = []
    for module in network.modules():
        children = list(module.named_children())
        for (_, before), (name, child) in pairwise(children):
            if isinstance(before, _ConvNd) and isinstance(child, _BatchNorm):
                found.append(name)
    return found


@pytest.mark.parametrize("name", VARIANTS)
def test_folded_prediction_is_the_same(name, build, stream):
    network = build(**VARIANTS[name])
    expected = logits_of(network, stream[3])
    before = norms_after_convolutions(network)
    predictor = Predictor(network)
    assert before and norms_after_convolutions(predictor) == []
    found = logits_of(predictor.module, stream[3])
    # Norms of the whole and not values: cosines of flat features magnify rounding.
    assert (found - expected).norm() < 1e-4 * expected.norm()
    assert (found.argmax(dim=1) == expected.argmax(dim=1)).float().mean() > 0.999
    (sample,) = predictor.test_step(collate(stream[3]))
    assert torch.equal(sample.pred_voxels.semantics, found[0].argmax(dim=0).to(torch.uint8))
    assert sample.finite


def test_folding_needs_the_statistics(build, stream):
    """The test above can fail: without its norms the network predicts something else."""
    network = build(**VARIANTS["mono"])
    expected = logits_of(network, stream[3])
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.reset_parameters()
    assert (logits_of(network, stream[3]) - expected).norm() > 0.01 * expected.norm()


def test_is_a_wrapper(mono):
    predictor = Predictor(copy.deepcopy(mono))
    assert is_model_wrapper(predictor)
    assert Predictor(predictor).module is predictor.module


@pytest.mark.parametrize("precision", PRECISIONS)
def test_precisions(precision, mono, stream):
    predictor = Predictor(copy.deepcopy(mono), precision)
    seen = []
    layer = next(m for m in predictor.modules() if isinstance(m, nn.Conv3d))
    layer.register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    (sample,) = predictor.test_step(collate(stream[0]))
    expected = _DTYPES[{"auto": "fp32"}.get(precision, precision)] or torch.float32
    assert seen == [expected]
    classes = logits_of(mono, stream[0])[0].argmax(dim=0)
    assert (sample.pred_voxels.semantics == classes).float().mean() > 0.9


def test_unknown_precision(mono):
    with pytest.raises(InvalidValueError, match=r"precision='fp8'.*bf16"):
        Predictor(mono, "fp8")


def test_overflow_in_fp16_is_predicted_again(mono, stream, monkeypatch):
    said = []
    monkeypatch.setattr(predictor_module, "print_log", lambda text, **kwargs: said.append(text))
    network = copy.deepcopy(mono)
    with torch.no_grad():
        for parameter in network.head.classifier.parameters():
            parameter.mul_(1e7)
    exact = logits_of(network, stream[0])
    assert exact.abs().max() > torch.finfo(torch.float16).max
    predictor = Predictor(network, "fp16")
    for _ in range(2):
        (sample,) = predictor.test_step(collate(stream[0]))
        assert sample.finite
        same = sample.pred_voxels.semantics == exact[0].argmax(dim=0)
        assert same.float().mean() > 0.999
    (warning,) = said
    assert "sample 00/000000: the network leaves the range of fp16" in warning
    # bfloat16 has the range; fp32 has no other try.
    (sample,) = Predictor(copy.deepcopy(network), "bf16").test_step(collate(stream[0]))
    assert sample.finite


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_numbers_that_are_none_are_an_error(mono, stream, precision):
    """Damaged weights in front of the deformable convolution, which would end the process."""
    network = copy.deepcopy(mono)
    with torch.no_grad():
        network.depth_net.reduce.conv.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(NonFiniteError, match=r"sample 00/000000: .*not finite"):
        Predictor(network, precision).test_step(collate(stream[0]))


def run_stream(predictor, samples, memory):
    """Predictions of a stream, and how many frames went through the matching network."""
    counts = []
    hook = predictor.module.temporal.matching.register_forward_pre_hook(
        lambda module, args: counts.append(args[0].shape[1])
    )
    found = [predictor.predict(collate(sample), memory)[0] for sample in samples]
    hook.remove()
    return found, counts


class TestMemory:
    """A stream computes the matching features of a frame once."""

    @pytest.fixture(scope="class", params=["MeanVolume", "CorrelationVolume"])
    def predictor(self, build, request):
        return Predictor(build(volume=request.param, **MONO))

    @pytest.fixture(scope="class")
    def expected(self, predictor, stream):
        found, counts = run_stream(predictor, stream, None)
        assert counts == [4] * 6
        return found

    @staticmethod
    def check(found, expected):
        for ours, theirs in zip(found, expected, strict=True):
            same = ours.pred_voxels.semantics == theirs.pred_voxels.semantics
            assert same.float().mean() > 0.999
            torch.testing.assert_close(
                ours.temporal_affinity, theirs.temporal_affinity, rtol=1e-4, atol=1e-4
            )

    def test_stream(self, predictor, stream, expected):
        memory = FrameMemory(4)
        found, counts = run_stream(predictor, stream, memory)
        # At the beginning the first frame stands in for its history.
        assert counts == [1] * 6
        assert len(memory) == 4
        self.check(found, expected)

    def test_skipped_frames_and_a_restart(self, predictor, stream, expected):
        memory = FrameMemory(4)
        order = [0, 2, 5, 1, 3]
        found, counts = run_stream(predictor, [stream[i] for i in order], memory)
        assert counts == [1, 2, 3, 2, 2]
        self.check(found, [expected[i] for i in order])

    def test_the_same_frame_again(self, predictor, stream, expected):
        memory = FrameMemory(4)
        found, counts = run_stream(predictor, [stream[4], stream[4]], memory)
        assert counts == [4]
        self.check(found, [expected[4], expected[4]])

    def test_batches_compute_everything(self, predictor, stream, expected):
        memory = FrameMemory(4)
        found = predictor.predict(collate(*stream[2:4]), memory)
        assert len(memory) == 0
        self.check(found, expected[2:4])

    def test_a_loader_in_order(self, predictor, stream, expected):
        counts = []
        hook = predictor.module.temporal.matching.register_forward_pre_hook(
            lambda module, args: counts.append(args[0].shape[1])
        )
        found = [predictor.test_step(collate(sample))[0] for sample in stream]
        hook.remove()
        assert counts == [1] * 6
        self.check(found, expected)

    def test_not_while_training(self, build, stream):
        network = build(volume="MeanVolume", **MONO)
        network.temporal.recalled = FrameMemory(4).recall(["a", "b", "c", "d"])
        network.temporal.train()
        logits_of(network, stream[0])
        assert network.temporal.recalled.computed == [{}, {}, {}, {}]

    def test_frames_of_a_failed_prediction_are_forgotten(self, build, stream):
        network = build(volume="MeanVolume", **MONO)
        with torch.no_grad():
            network.head.classifier.weight.mul_(1e7)
        predictor, memory = Predictor(network, "fp16"), FrameMemory(4)
        predictor.predict(collate(stream[0]), memory)
        assert len(memory) == 0
        assert network.temporal.recalled is None


def test_patches_have_no_use_for_a_memory(build, stream):
    predictor, memory = Predictor(build(**MONO)), FrameMemory(4)
    assert predictor.memory is None
    predictor.predict(collate(stream[0]), memory)
    assert len(memory) == 0


class TestCompile:
    @pytest.fixture(autouse=True)
    def fresh(self):
        torch._dynamo.reset()
        yield
        torch._dynamo.reset()

    def test_off_by_default(self, mono):
        for options in (None, False):
            compile_forward(mono, options)
        assert "extract_feat" not in vars(mono)

    def test_compiled_prediction_is_the_same(self, build, stream):
        """With the operators for a GPU, where the only break of the graph is the kept geometry."""
        network = build(volume="MeanVolume", **MONO)
        plain = Predictor(copy.deepcopy(network))
        compiled = Predictor(network, compile={"target": "extract_feat", "backend": "eager"})
        memories, graphs = (FrameMemory(4), FrameMemory(4)), []
        with gpu_operators():
            for sample in stream[:4]:
                (theirs,) = plain.predict(collate(sample), memories[0])
                (ours,) = compiled.predict(collate(sample), memories[1])
                assert torch.equal(ours.pred_voxels.semantics, theirs.pred_voxels.semantics)
                torch.testing.assert_close(ours.depth_plane, theirs.depth_plane)
                graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
        assert len(memories[1]) == 4
        # The images before the geometry and the rest after it, which the first frame has of its
        # own, as it has no history.
        assert graphs == [2, 3, 3, 3]

    def test_a_copy_calls_its_own_network(self, mono):
        network = copy.deepcopy(mono)
        compile_forward(network, {"backend": "eager"})
        assert copy.deepcopy(network).extract_feat.__self__ is not network

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ("yes", r"compile='yes'.*dict"),
            ({"target": "nix"}, r"compile\.target='nix': HTCL has no such method"),
            ({"colour": 1}, r"compile=.*refuses.*colour"),
            ({"mode": "fastest"}, r"compile=.*refuses.*fastest"),
        ],
    )
    def test_wrong_options(self, mono, options, message):
        with pytest.raises(InvalidValueError, match=message):
            compile_forward(mono, options)
