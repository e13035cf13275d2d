"""The learning curve: samples of several stages in a row, and the tables beside it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch

CONFIG = "projects/configs/occupancy/mini/htcl_plus_streets.py"


@pytest.fixture
def learning(repo_root, monkeypatch):
    monkeypatch.syspath_prepend(str(repo_root / "benchmarks"))
    threads = torch.get_num_threads()
    yield importlib.import_module("learning")
    torch.set_num_threads(threads)


def stage(folder: Path, batch_size: int, **scores: float) -> Path:
    """The work dir of a training: its config, and the IoU of its evaluations by step."""
    folder.mkdir()
    (folder / "config.py").write_text(f"batch_size = {batch_size}\n")
    for name, value in scores.items():
        # One run after another: the later one of a step counts.
        time, step = name.split("_")[1:]
        file = folder / time / "scores" / f"val_{step}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"IoU": value, "12.8m/IoU": value, "mIoU": 1, "12.8m/mIoU": 1}))
        file.with_suffix(".provenance.json").write_text("{}")
    return folder


def test_samples_of_all_stages(learning, tmp_path):
    first = stage(tmp_path / "a", 4, t_1_10=1.0, t_1_20=2.0, t_2_20=3.0)
    second = stage(tmp_path / "b", 2, t_1_5=4.0)
    points = learning.curve([first, second])
    # 10 and 20 steps of 4 samples, then 5 steps of 2.
    assert [(number, seen, row["IoU"]) for number, seen, row in points] == [
        (0, 40, 1.0), (0, 80, 3.0), (1, 90, 4.0),
    ]  # fmt: skip
    learning.plot(points, tmp_path / "plots" / "curve.png")
    assert (tmp_path / "plots" / "curve.png").stat().st_size > 1000


def test_a_training_without_scores(learning, tmp_path, capsys):
    assert learning.main([str(stage(tmp_path / "a", 4))]) == 1
    assert "val_*.json" in capsys.readouterr().err


def test_classes_by_frequency(learning):
    shares = [0.0] * 20
    shares[9], shares[1] = 0.75, 0.25
    scores = {"IoU_car": 12.34, "IoU_road": 56.78}
    lines = learning.class_table(CONFIG, {"unseen": scores}, shares).splitlines()
    assert lines[0] == "| class | % of the labels | unseen |"
    assert lines[2:] == ["| road | 75.00 | 56.8 |", "| car | 25.00 | 12.3 |"]
