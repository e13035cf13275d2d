"""CONTRIBUTING.md: each walk is short, works and trains by its config; hooks and versions hold."""

from __future__ import annotations

import copy
import importlib
import math
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope

import htcl
from htcl.config import load_config
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.geometry import Camera, DepthBins
from htcl.losses import VoxelPrediction
from htcl.models.interfaces import ViewTransformer

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "docs" / "examples"
WALKS = ("voxel_focal", "garage", "voxel_sampling")

# The mini network at the size of a test.
COARSE = {
    "_delete_": True,
    "base": "SemanticKITTI",
    "grid": {"point_cloud_range": (0.0, -25.6, -2.0, 51.2, 25.6, 4.4), "voxel_size": 1.6},
}
TINY = {
    "input_size": (32, 64),
    "num_workers": 0,
}
TINY_KITTI = {
    **TINY,
    "specification": COARSE,
    "train_sequences": "00",
    "model.view_transformer.voxel_size": 1.6,
    "history_stride": 5,
    "model.stereo.input_size": (48, 72),
    "model.stereo.max_disparity": 24,
}


@pytest.fixture(autouse=True)
def repository_on_path(monkeypatch):
    """As ``export PYTHONPATH=.`` does, which the page asks for."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def example():
    """Imports the file of a walk."""
    return lambda walk: importlib.import_module(f"docs.examples.{walk}")


@pytest.mark.parametrize("walk", WALKS)
def test_example_is_short_and_named_by_the_page(walk):
    page = (ROOT / "CONTRIBUTING.md").read_text()
    for name in (f"{walk}.py", f"{walk}_config.py"):
        assert f"(docs/examples/{name})" in page
        assert len((EXAMPLES / name).read_text().splitlines()) < 60


def build(walk, options):
    """Config, network and training set of a walk."""
    cfg = load_config(EXAMPLES / f"{walk}_config.py", copy.deepcopy(options))
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    return cfg, MODELS.build(cfg.model), DATASETS.build(cfg.train_dataloader.dataset)


def training_step(model, dataset):
    """Losses of one step, and the size of the gradient."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    batch = model.data_preprocessor(pseudo_collate([dataset[0]]), training=True)
    losses = model(**batch, mode="loss")
    sum(losses.values()).backward()
    optimizer.step()
    gradients = [p.grad.abs().max() for p in model.parameters() if p.grad is not None]
    return {name: float(value.detach()) for name, value in losses.items()}, float(max(gradients))


def test_loss(example):
    """Two voxels of probability 1/2 and 1/4, and one that is not scored."""
    focal = example("voxel_focal").VoxelFocal(gamma=2.0)
    logits = torch.tensor([[0.0, 0.0], [0.0, math.log(3.0)], [9.0, -9.0]]).T[None, :, :, None, None]
    target = torch.tensor([0, 0, 255])[None, :, None, None]
    expected = (0.5**2 * math.log(2) + 0.75**2 * math.log(4)) / 2
    assert float(focal(VoxelPrediction(logits, target))) == pytest.approx(expected)
    assert float(focal(VoxelPrediction(logits, torch.full_like(target, 255)))) == 0.0


def test_loss_in_training(monkeypatch, kitti_tree):
    monkeypatch.setenv("MINI_KITTI_ROOT", str(kitti_tree))
    _, model, dataset = build("voxel_focal", TINY_KITTI)
    losses, gradient = training_step(model, dataset)
    assert {"loss_voxel_focal", "loss_voxel_ce", "loss_depth"} <= set(losses)
    assert all(map(math.isfinite, losses.values()))
    assert gradient > 0


def test_view_transformer_reads_what_lies_in_a_voxel(example):
    """A frustum that holds its own pixels and depths gives each voxel its own."""
    transformer = example("voxel_sampling").VoxelSampling(
        SEMANTICKITTI, DepthBins(start=2.0, stop=50.0, step=1.0), voxel_size=1.6
    )
    intrinsics = torch.eye(4).repeat(1, 1, 1)
    intrinsics[0, :2, :3] = torch.tensor([[40.0, 0.0, 31.5], [0.0, 40.0, 15.5]])
    reference_from_camera = torch.tensor(
        [[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    )
    # The scene is moved by 1.6 m, one voxel, to the left.
    augmentation = torch.eye(4)
    augmentation[1, 3] = 1.6
    cameras = Camera(
        intrinsics[None],
        reference_from_camera[None, None],
        torch.eye(3)[None, None],
        augmentation[None, None],
        size=(32, 64),
    )
    index = transformer.index(cameras, (4, 8))
    frustum = cameras.frustum((4, 8), transformer.depth_bins.values())
    read = transformer.pool(frustum.movedim(-1, 0)[None].float(), index)
    assert read.shape == (1, 3, 32, 32, 4)
    # Voxel (10, 15, 1): its centre is (16.8, -0.8, 0.4) m in the moved scene, thus 2.4 m to the
    # right and 0.4 m above the camera.
    expected = torch.tensor([31.5 + 40 * 2.4 / 16.8, 15.5 - 40 * 0.4 / 16.8, 16.8])
    torch.testing.assert_close(read[0, :, 10, 15, 1], expected)
    assert not read[0, :, 0].any()  # nearer than the first bin


def test_view_transformer_in_training(monkeypatch, kitti_tree, example):
    monkeypatch.setenv("MINI_KITTI_ROOT", str(kitti_tree))
    _, model, dataset = build("voxel_sampling", TINY_KITTI)
    assert isinstance(model.view_transformer, example("voxel_sampling").VoxelSampling)
    assert isinstance(model.view_transformer, ViewTransformer)
    losses, gradient = training_step(model, dataset)
    assert all(map(math.isfinite, losses.values()))
    assert gradient > 0


@pytest.fixture
def garage(tmp_path):
    """Two frames of each level, by the command of docs/own_data.md."""
    command = "python docs/examples/make_garage.py data/garage"
    assert command in (ROOT / "docs/own_data.md").read_text()
    script = EXAMPLES / "make_garage.py"
    subprocess.run([sys.executable, script, tmp_path / "garage"], check=True)
    return tmp_path / "garage"


def test_data_set(garage):
    cfg, model, dataset = build("garage", {**TINY, "data_root": str(garage)})
    assert len(dataset) == 4
    sample = dataset[1]
    assert sample["inputs"]["images"].shape == (2, 3, 32, 64)
    stored = np.load(garage / "level1" / "labels" / "000001.npy")
    assert (sample["data_samples"].gt_voxels.semantics.numpy() == stored).all()

    losses, gradient = training_step(model, dataset)
    assert set(losses) == {"loss_voxel_ce", "loss_voxel_sem_scal", "loss_voxel_geo_scal"}
    assert all(map(math.isfinite, losses.values()))
    assert gradient > 0

    # Head and metric follow from the specification.
    validation = DATASETS.build(cfg.val_dataloader.dataset)
    batch = model.data_preprocessor(pseudo_collate([validation[0]]))
    (prediction,) = model.eval()(**batch, mode="predict")
    assert prediction.pred_voxels.semantics.shape == (128, 128, 16)
    assert int(prediction.pred_voxels.semantics.max()) < 4
    assert prediction.depth_plane.shape[0] == 2


def test_own_data_from_the_files_to_a_training(garage, load_tool, tmp_path):
    """The commands of docs/own_data.md, in their order, on small images and for two steps."""
    page = (ROOT / "docs/own_data.md").read_text()
    block = page[page.index("## 4. ") :].split("```")[1]
    commands = [line.split() for line in block.splitlines() if line.startswith("python")]
    assert [Path(words[1]).stem for words in commands] == ["check_data", "browse_dataset", "train"]
    small = ["--cfg-options", *(f"{key}={value}" for key, value in TINY.items())]
    small += [f"data_root={garage}", "train_cfg.max_iters=2", "train_cfg.val_begin=100"]
    more = {
        "check_data": ["--state", tmp_path / "state.jsonl", "--jobs", 1],
        "browse_dataset": ["--out", tmp_path / "look", *small],
        "train": ["--work-dir", tmp_path / "work", *small],
    }
    places = {"data/garage": garage, **{str(p.relative_to(ROOT)): p for p in EXAMPLES.iterdir()}}
    for _, script, *words in commands:
        name = Path(script).name
        arguments = [*(places.get(word, word) for word in words), *more[Path(name).stem]]
        assert load_tool(name).main(list(map(str, arguments))) == 0, name
    assert len(list((tmp_path / "look").rglob("*.png"))) == 1
    assert list((tmp_path / "work").glob("*.pth"))


def test_specification_of_the_page_is_the_examples():
    """What docs/own_data.md prints stands in the example."""
    page = (ROOT / "docs/own_data.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert code in (EXAMPLES / "garage.py").read_text()


def test_hooks_call_what_the_lock_installs(repo_root):
    """Nothing but requirements/lock.txt decides the versions that a commit is checked with."""
    config = yaml.safe_load((repo_root / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert {repository["repo"] for repository in config["repos"]} == {"local"}
    for hook in hooks:
        program = Path(hook["entry"].split()[0])
        assert program.parent == Path(".venv/bin")
        assert Path(sys.executable).with_name(program.name).is_file()


def test_version_is_said_alike(repo_root):
    project = tomllib.loads((repo_root / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((repo_root / "CITATION.cff").read_text())
    newest = re.search(r"^## \[(.+?)\]", (repo_root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert htcl.__version__ == project["version"] == citation["version"] == newest[1]
