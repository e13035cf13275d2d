"""benchmarks/mini_benchmarks.py: what it runs, what it keeps, and what it compares with."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from htcl.config import load_config
from htcl.datasets.specification import build_specification

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def mini(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.chdir(ROOT)
    threads = torch.get_num_threads()
    yield importlib.import_module("mini_benchmarks")
    torch.set_num_threads(threads)


def test_trainings_are_kept_and_compared(mini, surround_streets, monkeypatch, tmp_path, capsys):
    ran = []

    def run(command, folder):
        ran.append(command[0])
        folder.mkdir(parents=True, exist_ok=True)
        if command[0] == "tools/train.py":
            assert "max_iters=7" in command and f"data_root={surround_streets}" in command
            (folder / "iter_7.pth").touch()
        else:
            Path(command[command.index("--json") + 1]).write_text('{"IoU": 12.34, "mIoU": 5.6}')

    monkeypatch.setattr(mini, "_run", run)
    arguments = ["--only", "occ3d", "--steps", "7", "--work-dir", str(tmp_path)]
    arguments += ["--data", str(surround_streets)]
    for _ in range(2):
        assert mini.main(arguments) == 0
    assert ran == ["tools/train.py", "tools/test.py"]
    assert "| mini network | 12.3 | 5.6 |" in capsys.readouterr().out
    scores = json.loads((tmp_path / "occ3d.json").read_text())
    assert scores["all empty"]["IoU"] == 0 < scores["class prior"]["IoU"]

    def fail(command, folder):
        raise RuntimeError("tools/train.py failed, see there")

    monkeypatch.setattr(mini, "_run", fail)
    assert mini.main([*arguments, "--batch-size", "1"]) == 1
    assert capsys.readouterr().err == "mini_benchmarks: occ3d: tools/train.py failed, see there\n"


def test_labels_outside_of_the_mask_do_not_count(mini, surround_streets):
    """Voxels of 0.8 m have eight of the file's, one of which in the mask is enough."""
    trivial = importlib.import_module("trivial_predictors")
    options = {"data_root": str(surround_streets)}
    cfg = load_config(ROOT / "projects/configs/occupancy/mini/occ3d.py", options)
    dataset = trivial.labels_alone(cfg.val_dataloader)
    specification = build_specification(cfg.specification)
    found = [
        (labels != specification.ignore_index).sum().item()
        for labels in trivial.scored_labels(dataset, specification)
    ]
    expected = []
    for path in surround_streets.glob("gts/scene-0008/*/labels.npz"):
        with np.load(path) as labels:
            blocks = labels["mask_camera"].reshape(100, 2, 100, 2, 8, 2)
        expected.append(int(blocks.any(axis=(1, 3, 5)).sum()))
    assert sorted(found) == sorted(expected) and min(found) > 0
