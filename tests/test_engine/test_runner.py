from __future__ import annotations

import pytest
import torch
from mmdet3d.registry import MODELS
from mmengine.registry import init_default_scope

from htcl.engine.runner import build_runner, load_config

TINY = "tests/data/tiny_htcl.py"


@pytest.fixture(autouse=True)
def keep_operator_choice():
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.fixture
def cfg(repo_root, tmp_path):
    """The cheapest variant: one image."""
    parts = ("stereo", "depth_fusion", "temporal", "temporal_fusion")
    cfg = load_config(repo_root / TINY, {f"model.{part}": None for part in parts})
    cfg.work_dir = str(tmp_path / "work")
    init_default_scope(cfg.default_scope)
    return cfg


def save(path, state):
    torch.save({"state_dict": state, "meta": {}}, path)
    return path


def test_missing_config():
    with pytest.raises(FileNotFoundError, match=r"config 'no/such\.py' does not exist.*projects"):
        load_config("no/such.py")


def test_overrides(repo_root):
    cfg = load_config(repo_root / TINY, {"optim_wrapper.optimizer.lr": 1e-5})
    assert cfg.optim_wrapper.optimizer == {"type": "AdamW", "lr": 1e-5, "weight_decay": 0.01}


def test_missing_checkpoint(cfg):
    with pytest.raises(FileNotFoundError, match=r"checkpoint 'no/such\.pth' does not exist"):
        build_runner(cfg, checkpoint="no/such.pth")


def test_loads_every_weight(cfg, tmp_path):
    torch.manual_seed(5)
    state = MODELS.build(cfg.model).state_dict()
    runner = build_runner(cfg, checkpoint=save(tmp_path / "good.pth", state))
    for name, value in runner.model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_misfits_are_listed(cfg, tmp_path):
    state = MODELS.build(cfg.model).state_dict()
    state["head.classifier.weight"] = torch.zeros(7, 3)
    state["surplus.weight"] = torch.zeros(2)
    del state["depth_net.depth_conv.bias"]
    path = save(tmp_path / "misfit.pth", state)
    with pytest.raises(ValueError, match="does not fit config") as error:
        build_runner(cfg, checkpoint=path)
    text = str(error.value)
    for expected in (str(path), "tiny_htcl.py", "surplus.weight", "depth_net.depth_conv.bias"):
        assert expected in text
    assert "head.classifier.weight" in text
    assert "same --cfg-options" in text


def test_default_work_dir_tells_mini_from_full(repo_root, cfg, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    cfg.work_dir = None
    build_runner(cfg)
    assert cfg.work_dir == "work_dirs/data/tiny_htcl"


def test_missing_pretrained_backbone(cfg, tmp_path):
    weights = tmp_path / "backbone.pth"
    cfg.model.img_backbone.init_cfg = {"type": "Pretrained", "checkpoint": str(weights)}
    expected = r"pretrained weights '.*backbone.pth' of model\.img_backbone do not exist.*init_cfg"
    with pytest.raises(FileNotFoundError, match=expected):
        build_runner(cfg)
    # A checkpoint of the whole network makes them needless.
    cfg.load_from = "network.pth"
    build_runner(cfg)
    assert "init_cfg" not in cfg.model.img_backbone


def test_pretrained_backbone_is_kept(cfg, tmp_path):
    weights = save(tmp_path / "backbone.pth", {})
    cfg.model.img_backbone.init_cfg = {"type": "Pretrained", "checkpoint": str(weights)}
    build_runner(cfg)
    assert cfg.model.img_backbone.init_cfg.checkpoint == str(weights)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU keeps its faster operators")
def test_deterministic_on_a_cpu(cfg):
    torch.use_deterministic_algorithms(False)
    build_runner(cfg)
    assert torch.are_deterministic_algorithms_enabled()
