"""Programs that run without the package, at toy size."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, MODELS

from htcl.engine import export as exporting
from htcl.engine.export import Deviation, ExportableNetwork, compare, export, run_program
from htcl.errors import InvalidValueError, MissingFileError
from htcl.ops import standard_operators

MONO = {"stereo": None, "depth_fusion": None, "temporal": None, "temporal_fusion": None}
POINTS = {"type": "PointHistory", "trust": {"type": "DepthAgreement"}, "num_history": 1}


@pytest.fixture(scope="module")
def build(load_tiny_config):
    """A network and its inputs of one frame, for changes of the config's model."""

    def build(**changes):
        cfg = load_tiny_config()
        torch.manual_seed(0)
        model = MODELS.build({**copy.deepcopy(cfg.model), **changes}).eval()
        dataset = {**cfg.test_dataloader.dataset, "inputs": sorted(model.required_inputs)}
        network = ExportableNetwork(model, sample := DATASETS.build(dataset)[1]["inputs"])
        return network, network.inputs(sample), sample

    return build


def agree(expected, found, voxels=1e-4):
    deviation = compare(expected, found)
    assert deviation.voxels < voxels
    assert deviation.score < 10 * voxels * expected[1].abs().max()
    assert (expected[2] != found[2]).double().mean() < max(0.01, 10 * voxels)


@torch.no_grad()
@pytest.mark.parametrize("changes", ({}, MONO, {"point_history": POINTS}))
def test_inputs_and_outputs_by_name(build, changes):
    network, inputs, sample = build(**changes)
    batch = {"inputs": [copy.deepcopy(sample)], "data_samples": None}
    batch = network.network.data_preprocessor(batch)["inputs"]
    logits = network.network(batch, mode="tensor")
    semantics, score, depth = network(inputs)
    assert torch.equal(semantics, logits.max(dim=1).indices.to(torch.uint8))
    assert torch.equal(score, logits.max(dim=1).values)
    assert depth.shape[:2] == (1, 1)
    assert ("right" in inputs) == (changes is not MONO)
    assert inputs["images"].dtype == torch.uint8 and inputs["intrinsics"].shape == (1, 1, 4, 4)
    with standard_operators():
        agree((semantics, score, depth), network(inputs))


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("form", ("torch", "onnx"))
def test_one_image(build, form, tmp_path, repo_root):
    network, inputs, _ = build(**MONO)
    path = tmp_path / "net"
    deviation = export(network, inputs, path, form)
    assert deviation.voxels <= 1e-4
    # Calibration is an input: another camera and image, the same program.
    other = {name: value.clone() for name, value in inputs.items()}
    other["images"] = inputs["images"].flip(-1)
    other["intrinsics"][..., 0, 0] *= 1.2
    other["reference_from_camera"][..., 2, 3] += 0.3
    expected = network(other)
    assert not torch.equal(expected[0], network(inputs)[0])
    agree(expected, run_program(path.read_bytes(), form, other))
    if form == "onnx":
        _run_example(repo_root, path, inputs, network(inputs)[0])


def _run_example(root: Path, program: Path, inputs, expected) -> None:
    sample, out = program.with_name("sample.npz"), program.with_name("out.npy")
    np.savez(sample, **{name: value.numpy() for name, value in inputs.items()})
    command = [sys.executable, root / "docs/examples/run_onnx.py", program, sample, out]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "vegetation" in done.stdout and "depths from" in done.stdout
    assert (np.load(out) == expected[0].numpy()).mean() > 0.9999


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(("form", "voxels"), (("torch", 1e-4), ("onnx", 1e-2)))
def test_the_whole_network(build, form, voxels, tmp_path, monkeypatch):
    # An untrained network's classes are near ties, and its depths' maxima jump; ONNX rounds
    # otherwise. A trained network has to pass the limit that is raised here.
    monkeypatch.setattr(exporting, "_FLIPS", voxels)
    network, inputs, _ = build(point_history=POINTS)
    export(network, inputs, tmp_path / "net", form)
    assert json.loads(json.dumps(exporting.describe(network.network, inputs)))["outputs"]
    other = {**inputs, "current_from_history": inputs["current_from_history"].clone()}
    other["current_from_history"][..., 2, 3] *= 1.5
    agree(network(other), run_program((tmp_path / "net").read_bytes(), form, other), voxels)


def test_a_wrong_program_is_refused(build, tmp_path, monkeypatch):
    network, inputs, _ = build(**MONO)
    wrong = [value + 1 for value in network(inputs)]
    monkeypatch.setattr(exporting, "_to_torch", lambda *_: b"")
    monkeypatch.setattr(exporting, "run_program", lambda *_: wrong)
    with pytest.raises(InvalidValueError, match=r"net\.pt2.*100\.000 % of the voxels.*by 1"):
        export(network, inputs, tmp_path / "net.pt2", "torch")
    assert not list(tmp_path.iterdir())


def test_says_what_to_install(build, tmp_path, monkeypatch):
    network, inputs, _ = build(**MONO)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingFileError, match=r"onnxscript: pip install 'htcl\[export\]'"):
        export(network, inputs, tmp_path / "net.onnx", "onnx")


def test_compare():
    first = (torch.tensor([1, 2], dtype=torch.uint8), torch.tensor([1.0, 2]), torch.tensor([5.0]))
    second = (torch.tensor([1, 0], dtype=torch.uint8), torch.tensor([1.5, 2]), torch.tensor([3.0]))
    assert compare(first, second) == Deviation(voxels=0.5, score=0.5, depth=2.0)
