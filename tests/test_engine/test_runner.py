from __future__ import annotations

import logging
import os
from types import SimpleNamespace
from urllib.error import URLError

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner

from htcl.config import load_config
from htcl.engine.loaders import prepare_loader
from htcl.engine.predictor import Predictor
from htcl.engine.runner import (
    OccupancyRunner,
    build_runner,
    config_errors,
    load_predictor,
    set_up_convolutions,
)
from htcl.errors import InvalidValueError, MissingFileError

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


def test_missing_checkpoint(cfg):
    with pytest.raises(MissingFileError, match=r"checkpoint 'no/such\.pth' does not exist"):
        build_runner(cfg, checkpoint="no/such.pth")


def test_loads_every_weight(cfg, tmp_path):
    torch.manual_seed(5)
    state = MODELS.build(cfg.model).state_dict()
    runner = build_runner(cfg, checkpoint=save(tmp_path / "good.pth", state))
    for name, value in runner.model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_made_for_predictions_on_request(cfg, tmp_path):
    torch.manual_seed(5)
    checkpoint = save(tmp_path / "good.pth", MODELS.build(cfg.model).state_dict())
    # Who wants a state dict gets it.
    assert not isinstance(build_runner(cfg, checkpoint=checkpoint).model, Predictor)
    cfg.compile = {"backend": "eager"}
    model = build_runner(cfg, checkpoint=checkpoint, precision="bf16").model
    assert isinstance(model, Predictor) and not model.training
    assert model._dtype == torch.bfloat16
    assert "extract_feat" in vars(model.module)
    predictor = load_predictor(cfg, checkpoint, "cpu", "fp32")
    assert predictor._dtype is None
    assert "extract_feat" in vars(predictor.module)


def test_a_training_compiles_what_the_key_names(cfg):
    """mmengine would compile the whole step, and refuse the key `target`."""
    cfg.compile = {"target": "extract_image", "backend": "eager"}
    runner = build_runner(cfg)
    runner._maybe_compile("train_step")
    assert "extract_image" in vars(runner.model)
    assert "train_step" not in vars(runner.model)


def test_misfits_are_listed(cfg, tmp_path):
    state = MODELS.build(cfg.model).state_dict()
    state["head.classifier.weight"] = torch.zeros(7, 3)
    state["surplus.weight"] = torch.zeros(2)
    del state["depth_net.depth_conv.bias"]
    path = save(tmp_path / "misfit.pth", state)
    with pytest.raises(InvalidValueError, match="does not fit config") as error:
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


class TestPretrained:
    """Files that parts start from, anywhere in the network."""

    @pytest.fixture(params=["img_backbone", "depth_net.inner", "losses.0"])
    def place(self, request, cfg, monkeypatch):
        """Where the part is; nothing is built from the config."""

        def stand_in(cfg):
            return SimpleNamespace(cfg=cfg, model=torch.nn.Module())

        cfg.load_from_min_fit = 0.0
        monkeypatch.setattr(OccupancyRunner, "from_cfg", stand_in)
        cfg.merge_from_dict({f"model.{request.param}.seen": True})
        return request.param

    @staticmethod
    def start(cfg, place, init_cfg):
        cfg.merge_from_dict({f"model.{place}.init_cfg": init_cfg})
        built = build_runner(cfg).cfg.model
        for key in place.split("."):
            built = built[int(key)] if key.isdecimal() else built[key]
        return built.get("init_cfg")

    @pytest.mark.parametrize("as_list", [False, True])
    def test_missing(self, cfg, place, tmp_path, as_list):
        init = {"type": "Pretrained", "checkpoint": str(tmp_path / "part.pth")}
        normal = {"type": "Normal", "layer": "Conv2d"}
        expected = rf"pretrained weights '.*part.pth' of model\.{place} do not exist.*init_cfg=None"
        with pytest.raises(MissingFileError, match=expected):
            self.start(cfg, place, [normal, init] if as_list else init)
        # A checkpoint of the whole network makes them needless.
        cfg.load_from = str(save(tmp_path / "network.pth", {}))
        left = self.start(cfg, place, [normal, init] if as_list else init)
        assert left == ([normal] if as_list else None)

    def test_there(self, cfg, place, tmp_path):
        init = {"type": "Pretrained", "checkpoint": str(save(tmp_path / "part.pth", {}))}
        assert self.start(cfg, place, init) == init

    def test_steps_without_a_file(self, cfg, place):
        steps = [{"type": "Kaiming", "layer": "Conv2d"}, {"type": "Constant", "val": 1.0}]
        assert self.start(cfg, place, steps) == steps

    def test_no_network(self, monkeypatch):
        def refuse(runner):
            raise URLError("Name or service not known")

        monkeypatch.setattr(Runner, "_init_model_weights", refuse)
        with pytest.raises(InvalidValueError, match=r"Name or service not known.*init_cfg=None"):
            OccupancyRunner.__new__(OccupancyRunner)._init_model_weights()


def test_missing_file_to_start_from(cfg):
    cfg.load_from = "no/such.pth"
    with pytest.raises(MissingFileError, match=r"load_from 'no/such\.pth' does not exist"):
        build_runner(cfg)


def test_resuming_from_weights_alone(cfg, tmp_path):
    runner = build_runner(cfg)
    path = save(tmp_path / "weights.pth", runner.model.state_dict())
    with pytest.raises(InvalidValueError, match=r"weights\.pth.*weights alone.*--load-from"):
        runner.resume(str(path))


def test_config_text_of_a_checkpoint_is_not_run(cfg, tmp_path, kitti_tree, monkeypatch):
    """mmengine would run it, whichever way the file came."""
    cfg.merge_from_dict({"train_dataloader.dataset.data_root": str(kitti_tree)})
    runner = build_runner(cfg)
    runner.optim_wrapper = runner.build_optim_wrapper(cfg.optim_wrapper)
    text = f"import pathlib\npathlib.Path({str(tmp_path / 'made')!r}).touch()\n"
    content = {
        "state_dict": runner.model.state_dict(),
        "meta": {"config": text, "epoch": 0, "iter": 3, "seed": 0},
        "message_hub": runner.message_hub.state_dict(),
        "optimizer": runner.optim_wrapper.state_dict(),
    }
    monkeypatch.setattr("mmengine.runner.runner._load_checkpoint", lambda *_, **__: content)
    runner.resume("https://stranger.example/iter_3.pth")
    assert runner.iter == 3
    assert not (tmp_path / "made").exists()


def test_resuming_the_state_of_another_network(cfg, tmp_path, kitti_tree, monkeypatch):
    cfg.merge_from_dict({"train_dataloader.dataset.data_root": str(kitti_tree)})
    runner = build_runner(cfg)
    weight = torch.nn.Parameter(torch.ones(2))
    content = {
        "state_dict": {},
        "meta": {"epoch": 0, "iter": 3, "seed": 0},
        "message_hub": runner.message_hub.state_dict(),
        "optimizer": torch.optim.AdamW([weight]).state_dict(),
    }
    path = tmp_path / "iter_3.pth"
    torch.save(content, path)
    with pytest.raises(InvalidValueError, match=r"--resume .*iter_3\.pth.*does not fit config"):
        runner.resume(str(path))


def test_nothing_fits_of_the_weights_to_start_from(cfg, tmp_path):
    path = save(tmp_path / "other.pth", {"net.weight": torch.ones(2), "net.bias": torch.ones(2)})
    cfg.load_from = str(path)
    with pytest.raises(InvalidValueError, match=r"load_from=.*other\.pth': 0 entries fit, of 2"):
        build_runner(cfg)
    cfg.load_from_min_fit = 0.0
    build_runner(cfg)


class TestConfigErrors:
    """What a config says wrongly is a user's mistake, what a class does wrongly is not."""

    @pytest.fixture
    def build(self):
        class Toy:
            def __init__(self, size, broken=False):
                if broken:
                    {}["key"]
                    self(1, 2, 3)

        MODELS.register_module(name="RunnerTestToy", module=Toy, force=True)

        def build(**config):
            with config_errors(Config({}, filename="tests/data/tiny_htcl.py")):
                MODELS.build({"type": "RunnerTestToy", **config})

        return build

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"size": 1, "sise": 2}, "unexpected keyword argument 'sise'"),
            ({}, "missing 1 required positional argument: 'size'"),
            ({"type": "Nix"}, "Nix is not in the mmengine::model registry"),
        ],
    )
    def test_of_the_user(self, build, config, message):
        with pytest.raises(InvalidValueError, match=rf"config '.*tiny_htcl\.py': .*{message}"):
            build(**config)

    def test_of_the_program(self, build):
        with pytest.raises(KeyError, match="key"):
            build(size=1, broken=True)

    def test_at_the_start(self, cfg):
        cfg.model.head.type = "Nix"
        with pytest.raises(InvalidValueError, match="Nix is not in"):
            build_runner(cfg)


WORKERS = {"persistent_workers": True, "prefetch_factor": 4}


class TestLoader:
    @pytest.fixture(autouse=True)
    def classes(self):
        def data(inputs=None):
            return inputs

        DATASETS.register_module(name="RunnerTestData", module=data, force=True)
        DATASETS.register_module(name="RunnerTestOther", module=lambda: None, force=True)

    def test_without_workers(self):
        loader = {"num_workers": 0, "dataset": {"type": "RunnerTestOther"}, **WORKERS}
        prepared = prepare_loader(loader, frozenset())
        assert prepared == {"num_workers": 0, "dataset": {"type": "RunnerTestOther"}}
        assert loader["persistent_workers"]

    def test_with_workers(self):
        loader = {"num_workers": 2, "dataset": {"type": "RunnerTestOther"}, **WORKERS}
        assert prepare_loader(loader, frozenset()) == loader

    def test_inputs(self):
        needed = frozenset({"images", "right"})
        other = {"type": "RunnerTestOther"}
        wrapped = {
            "type": "ConcatDataset",
            "datasets": [
                {"type": "RunnerTestData"},
                other,
                {"type": "RunnerTestData", "inputs": 5},
            ],
        }
        found = prepare_loader({"dataset": wrapped}, needed)["dataset"]["datasets"]
        assert [entry.get("inputs") for entry in found] == [needed, None, 5]
        assert "inputs" not in wrapped["datasets"][0]

    def test_training_asks_for_more(self, cfg, kitti_tree):
        cfg.merge_from_dict({"train_dataloader.dataset.data_root": str(kitti_tree)})
        cfg.merge_from_dict({"val_dataloader.dataset.data_root": str(kitti_tree)})
        runner = build_runner(cfg)
        trained, validated = (
            loop.dataloader.dataset[0]["inputs"] for loop in (runner.train_loop, runner.val_loop)
        )
        assert {"images", "depth_maps", "points"} <= set(trained)
        # One image, as the network is the cheapest variant.
        assert set(validated) == {"images", "cameras"}


def test_console_and_log_file(cfg, capsys):
    runner = build_runner(cfg)
    runner.logger.info("one line of the run")
    runner.logger.info("paramwise_options -- head.weight:lr=1")
    (file,) = [h for h in runner.logger.handlers if isinstance(h, logging.FileHandler)]
    with open(file.baseFilename) as log:
        written = log.read()
    shown = "".join(capsys.readouterr())
    for text in ("custom_imports", "System environment", "IterTimerHook", "paramwise_options"):
        assert text in written
        assert text not in shown
    assert "one line of the run" in written
    assert "one line of the run" in shown


def test_a_schedule_shorter_than_its_warm_up(cfg, kitti_tree):
    cfg.merge_from_dict({"param_scheduler.1.end": 20})
    # Schedules look at the length of the data.
    cfg.train_dataloader.dataset.update(data_root=str(kitti_tree), sequences=("00",))
    runner = build_runner(cfg)
    runner.optim_wrapper = runner.build_optim_wrapper(cfg.optim_wrapper)
    with pytest.raises(InvalidValueError, match=r"param_scheduler: .*begin=50.*end=20"):
        runner.build_param_scheduler(cfg.param_scheduler)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU keeps its faster operators")
def test_deterministic_on_a_cpu(cfg):
    torch.use_deterministic_algorithms(False)
    build_runner(cfg)
    assert torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("chosen", [None, "64"])
def test_convolutions_have_a_bounded_workspace(repo_root, monkeypatch, chosen):
    """A limit of the user's own environment stays."""
    name = "CUDNN_CONV_WSCAP_DBG"
    monkeypatch.setenv(name, chosen or "restored afterwards")
    if not chosen:
        monkeypatch.delenv(name)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    cfg = load_config(repo_root / "projects/configs/occupancy/mini/htcl_mono.py")
    set_up_convolutions(cfg)
    assert os.environ[name] == (chosen or "1024")
    assert torch.backends.cudnn.benchmark
