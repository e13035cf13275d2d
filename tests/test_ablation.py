"""The ablation study's bookkeeping, and that each of its rows is a network that can be built."""

from __future__ import annotations

import importlib
import json
from argparse import Namespace

import pytest
from mmdet3d.registry import MODELS
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope

ROWS = (
    "mono",
    "stereo",
    "released",
    "right",
    "correlation",
    "no_affinity",
    "one_dilation",
    "shared_learner",
    "no_deformable",
    "history_1",
    "history_2",
)


@pytest.fixture
def ablation(repo_root, monkeypatch):
    monkeypatch.syspath_prepend(str(repo_root / "benchmarks"))
    return importlib.import_module("ablation")


def test_all_rows_are_here(ablation):
    assert tuple(ablation.ROWS) == ROWS


@pytest.mark.parametrize("name", ROWS)
def test_row_builds(ablation, repo_root, name):
    row = ablation.ROWS[name]
    cfg = Config.fromfile(repo_root / ablation.CONFIGS / f"{row.config}.py")
    pairs = [option.split("=", 1) for option in row.options]
    cfg.merge_from_dict({key: DictAction._parse_iterable(value) for key, value in pairs})
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    frames = cfg.train_dataloader.dataset.num_history
    assert (model.temporal is None) == (frames == 0)
    if model.temporal is not None:
        assert model.temporal.num_history == frames
        assert cfg.test_dataloader.dataset.num_history == frames


def test_table_has_mean_and_spread(ablation):
    scores = {"mono": {"IoU": [20.0, 22.0, 24.0], "mIoU": [5.0, 5.0, 5.0]}}
    line = ablation.table(scores).splitlines()[-1]
    assert line == "| one image | 3 | 22.00 +- 2.00 | 5.00 +- 0.00 |"


def test_finished_runs_are_kept_and_failures_named(ablation, tmp_path, monkeypatch):
    args = Namespace(work_dir=tmp_path, steps=3, threads=1, rows=["mono"], seeds=[0, 1])
    folder = ablation.run_folder(args, "mono", 0)
    folder.mkdir(parents=True)
    (folder / "scores.json").write_text(json.dumps({"IoU": 1.0, "mIoU": 0.5}))
    commands = []

    def run(command, **_):
        commands.append(command[1])
        return Namespace(returncode=1)

    monkeypatch.setattr(ablation.subprocess, "run", run)
    assert ablation.run_one("mono", 0, args) == ""
    assert not commands
    assert "mono, seed 1: tools/train.py failed" in ablation.run_one("mono", 1, args)
    assert commands == ["tools/train.py"]
    assert ablation.collect(args) == {"mono": {"IoU": [1.0], "mIoU": [0.5]}}
