"""The converter as a program, on networks of toy size."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from htcl.checkpoint.conversion import network_state, released_constants
from htcl.checkpoint.released import DROPPED, convert_to_released
from htcl.config import load_config
from htcl.engine.runner import build_runner

MINI = "projects/configs/occupancy/mini/temporal_baseline.py"
# The backbone with the released names, of a width that fits the mini neck.
CONFIG = """
_base_ = ["{base}"]
model = dict(
    img_backbone=dict(
        _delete_=True, type="mmdet.EfficientNet", arch="b0", out_indices=(2, 3, 4, 5)
    )
)
"""


@pytest.fixture
def tool(load_tool):
    return load_tool("convert_checkpoint.py")


@pytest.fixture(scope="module")
def small(repo_root, tmp_path_factory):
    """A small network of the released graph: its config, its weights, and those as released."""
    path = tmp_path_factory.mktemp("config") / "small.py"
    path.write_text(CONFIG.format(base=repo_root / MINI))
    cfg = load_config(path)
    torch.manual_seed(0)
    ours = network_state(cfg)
    released = convert_to_released(ours, released_constants(cfg)).state
    return SimpleNamespace(config=path, ours=ours, released=released)


@pytest.fixture
def convert(tool, small, tmp_path):
    """Returns `run(content, *options)`: exit status and the written file's content, if any."""

    def run(content, *options):
        source, target = tmp_path / "in.pth", tmp_path / "sub" / "out.pth"
        torch.save(content, source)
        args = [str(source), str(target), "--config", str(small.config), *options]
        status = tool.main(args)
        return status, torch.load(target, weights_only=True) if target.exists() else None

    return run


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    assert all(torch.equal(actual[key], expected[key]) for key in expected)


def test_there_and_back(convert, small, tmp_path, capsys):
    """Released -> ours gives the network's weights, and ours -> released the file again."""
    content = {
        "meta": {"epoch": 30},
        "state_dict": {f"module.{k}": v for k, v in small.released.items()},
    }
    status, written = convert(content)
    assert status == 0
    assert_same(written["state_dict"], small.ours)
    report = capsys.readouterr().out
    for key in DROPPED.keys() & small.released.keys():
        assert f"dropped {key}: {DROPPED[key]}" in report
    status, back = convert(written, "--reverse", "--force")
    assert status == 0
    kept = {key: value for key, value in small.released.items() if key not in DROPPED}
    assert_same({key: back["state_dict"][key] for key in kept}, kept)
    assert back["state_dict"].keys() == small.released.keys()
    assert not list(tmp_path.rglob("*.part"))


def test_moving_averages(convert, small):
    key = "pts_bbox_head.occ_convs.0.3.weight"
    average = torch.full_like(small.released[key], 0.25)
    content = {**small.released, "ema_" + key.replace(".", "_"): average}
    _, plain = convert(content)
    assert_same(plain["state_dict"], small.ours)
    _, averaged = convert(content, "--ema", "--force")
    assert torch.equal(averaged["state_dict"]["head.classifier.weight"], average)


def test_image_classifier(convert, small):
    backbone = {k: v for k, v in small.ours.items() if k.startswith("img_backbone.")}
    file = {k.removeprefix("img_"): v for k, v in backbone.items()}
    head = {"head.fc.weight": torch.ones(10, 1280), "head.fc.bias": torch.ones(10)}
    status, written = convert({"state_dict": {**file, **head}})
    assert status == 0
    # The names that model.img_backbone.init_cfg with prefix='backbone' reads.
    assert_same(written["state_dict"], file)


def test_all_misfits_at_once(convert, small, capsys):
    state = dict(small.released)
    del state["img_bev_encoder_neck.alpha"]
    state["img_view_transformer.novel.weight"] = torch.ones(1)
    state["img_view_transformer.dx"] = torch.tensor([0.4, 0.8, 0.8])
    key = "pts_bbox_head.occ_convs.0.3.weight"
    state[key] = state[key][:5]
    status, written = convert(state)
    assert status == 1
    assert written is None
    message = capsys.readouterr().err
    assert "4 differences" in message
    assert "missing in the file: temporal_fusion.gate" in message
    assert "unknown to the network: img_view_transformer.novel.weight" in message
    assert "of another shape: head.classifier.weight: (5, " in message
    assert "in the file, (20, 32, " in message
    assert "wrong constant: img_view_transformer.dx differs from the config's geometry" in message


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ({"head.classifier.weight": torch.ones(1)}, (), "needs no conversion"),
        ({"pts_bbox_head.x": torch.ones(1)}, ("--reverse",), "leave --reverse out"),
        ({"pts_bbox_head.x": torch.ones(1)}, ("--ema",), "holds no moving averages"),
    ],
)
def test_wrong_kind_of_file(convert, capsys, content, options, message):
    status, written = convert(content, *options)
    assert status == 1
    assert written is None
    assert message in capsys.readouterr().err


def test_missing_files(tool, tmp_path, capsys):
    assert tool.main([str(tmp_path / "nowhere.pth"), str(tmp_path / "out.pth")]) == 1
    assert "nowhere.pth' does not exist" in capsys.readouterr().err


def test_existing_target_needs_force(tool, tmp_path, capsys):
    target = tmp_path / "out.pth"
    target.write_text("precious")
    with pytest.raises(SystemExit, match="2"):
        tool.main([str(tmp_path / "in.pth"), str(target)])
    assert "--force" in capsys.readouterr().err
    assert target.read_text() == "precious"


def test_help(tool, capsys):
    with pytest.raises(SystemExit, match="0"):
        tool.main(["--help"])
    text = capsys.readouterr().out
    assert "--reverse" in text
    assert "Examples" in text


class TestRunner:
    """Programs that build their runner by `build_runner` take a released file as it is."""

    @pytest.fixture
    def released_file(self, small, tmp_path):
        path = tmp_path / "released.pth"
        torch.save({"state_dict": small.released}, path)
        return path

    @pytest.fixture
    def cfg(self, small):
        cfg = load_config(small.config)
        cfg.visualizer = None
        cfg.custom_hooks = []
        return cfg

    def test_checkpoint_to_test(self, cfg, small, released_file, tmp_path, capfd):
        runner = build_runner(cfg, work_dir=tmp_path / "work", checkpoint=released_file)
        assert_same(runner.model.state_dict(), small.ours)
        output = capfd.readouterr()
        assert "is a released HTCL checkpoint" in output.out + output.err

    def test_load_from(self, cfg, small, released_file, tmp_path):
        cfg.load_from = str(released_file)
        runner = build_runner(cfg, work_dir=tmp_path / "work")
        runner.load_or_resume()
        assert_same(runner.model.state_dict(), small.ours)

    def test_misfits_are_listed(self, cfg, small, tmp_path):
        state = dict(small.released)
        del state["img_bev_encoder_neck.alpha"]
        state["img_view_transformer.novel"] = torch.ones(1)
        path = tmp_path / "bad.pth"
        torch.save(state, path)
        with pytest.raises(ValueError, match="does not fit config") as error:
            build_runner(cfg, work_dir=tmp_path / "work", checkpoint=path)
        assert "img_view_transformer.novel" in str(error.value)
        assert "temporal_fusion.gate" in str(error.value)
