"""The demo's steps: each must be a command line that the tool in question accepts."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from htcl.config import load_config


@pytest.fixture
def demo(load_tool, monkeypatch):
    """Runs the demo with recorded instead of real steps; returns them and what it printed."""
    tool = load_tool("demo.py")
    steps = []

    def record(command, cwd, check, env, stdout):
        assert cwd == tool.ROOT
        assert env["MINI_KITTI_ROOT"] == steps[0][3] if steps else command[3]
        steps.append(command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(tool.subprocess, "run", record)

    def run(*argv):
        assert tool.main(list(argv)) == 0
        return steps

    return run


def test_steps(demo, repo_root, capsys):
    steps = demo()
    assert [step[0] for step in steps] == [sys.executable] * len(steps)
    assert [step[1] for step in steps] == [
        "tools/make_mini_kitti.py",
        "tools/train.py",
        "tools/test.py",
        "tools/save_vis.py",
        "tools/visualization.py",
    ]
    assert all((repo_root / step[1]).is_file() for step in steps)
    said = capsys.readouterr().out
    # Every step is shown before it runs, as a user would type it.
    assert said.count("$ python tools/") == len(steps)
    assert "synthetic" in said
    assert "Next, " in said


def test_command_lines_are_valid(demo, load_tool, capsys):
    steps = demo("--iters", "7", "--data", "data/other", "--out", "outputs/other")
    train, test = (load_tool(f"{name}.py").parse_args for name in ("train", "test"))
    training, testing = train(steps[1][2:]), test(steps[2][2:])
    assert "train_cfg.max_iters=7" in training.cfg_options
    assert steps[0][2:] == ["--out", "data/other"]
    assert "$ MINI_KITTI_ROOT=data/other python tools/train.py" in capsys.readouterr().out
    assert testing.checkpoint == f"{training.work_dir}/iter_7.pth"
    assert testing.out == "outputs/other/predictions"
    assert testing.config == training.config


@pytest.fixture
def shipped(load_tool, monkeypatch, tmp_path):
    """A repository with a checkpoint."""
    tool = load_tool("demo.py")
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    checkpoint = tmp_path / tool.CHECKPOINT
    checkpoint.parent.mkdir()
    checkpoint.touch()


def test_starts_from_the_shipped_checkpoint(shipped, demo, load_tool):
    training = load_tool("train.py").parse_args(demo()[1][2:])
    assert training.load_from == load_tool("demo.py").CHECKPOINT
    assert "optim_wrapper.optimizer.lr=2e-05" in training.cfg_options
    assert "train_cfg.max_iters=20" in training.cfg_options


def test_from_scratch(shipped, demo, load_tool):
    training = load_tool("train.py").parse_args(demo("--from-scratch")[1][2:])
    assert training.load_from is None
    assert not any("optimizer.lr" in word for word in training.cfg_options)
    assert "train_cfg.max_iters=60" in training.cfg_options


def test_options_are_keys_of_the_config(demo, load_tool, repo_root):
    for argv in ((), ("--from-scratch",)):
        training = load_tool("train.py").parse_args(demo(*argv)[-4][2:])
        load_config(repo_root / training.config, training.cfg_options)


def test_stops_at_the_first_failure(load_tool, monkeypatch, capsys):
    tool = load_tool("demo.py")
    monkeypatch.setattr(tool.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=3))
    assert tool.main([]) == 1
    assert "demo: step 'synthetic data set' failed with status 3" in capsys.readouterr().err
