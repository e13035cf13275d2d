"""The check that kills trainings: its bookkeeping, and a short round of it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def faults(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("faults")


def training(folder, weight=1.0, rows=()):
    """What a finished training would leave."""
    log = folder / "20260101_000000" / "vis_data" / "scalars.json"
    log.parent.mkdir(parents=True)
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    state = {"state_dict": {"w": torch.tensor(weight)}, "optimizer": {}, "param_schedulers": []}
    info = {"runtime_info": {"best_score": 3.0}}
    torch.save({**state, "meta": {}, "message_hub": info}, folder / "iter_6.pth")
    return folder


def test_differences(faults, tmp_path):
    """One bit of a weight and one logged value are seen, the time of a step is not."""
    rows = [{"loss": 2.0, "step": 1, "time": 5.0}, {"IoU": 9.0, "step": 1, "data_time": 0.1}]
    whole = faults.outcome(training(tmp_path / "a", rows=rows))
    rows[0]["time"] = 6.0
    assert not faults.differences(whole, faults.outcome(training(tmp_path / "b", rows=rows)))
    rows[1]["IoU"] = 9.5
    weight = torch.nextafter(torch.tensor(1.0), torch.tensor(2.0)).item()
    other = faults.outcome(training(tmp_path / "c", weight, rows))
    assert faults.differences(whole, other) == ["iter_6.pth state_dict", "log"]


def test_a_row_written_twice_counts_once(faults, tmp_path):
    rows = [{"loss": 2.0, "step": 1}, {"loss": 2.0, "step": 1}]
    assert faults.outcome(training(tmp_path / "a", rows=rows))["log"] == {"train 1": rows[0]}


def test_kills(faults):
    def sleep(seconds):
        command = [sys.executable, "-c", f"import time; time.sleep({seconds})"]
        return subprocess.Popen(command, start_new_session=True)

    began = time.monotonic()
    run = sleep(60)
    assert faults.kill_when(run, lambda: time.monotonic() > began + 0.1)
    assert run.returncode == -9
    assert not faults.kill_when(sleep(0), lambda: False)


def test_table(faults):
    """Three kills in steps, of which one ended otherwise and one not at all; one came too late."""
    kind = faults.MOMENTS[0]
    same = {"moment": kind, "killed": True, "status": 0, "differs": []}
    trials = [same, {**same, "differs": ["log"]}, {**same, "status": 1}, {**same, "killed": False}]
    text = faults.table(trials, "command")
    assert f"| {kind} | 3 | 1 | 1 | 1 |" in text
    assert "| all | 3 | 1 | 1 | 1 |" in text
    assert "1 more runs ended before their moment" in text


@pytest.mark.slow
def test_two_kills(faults, kitti_tree, tmp_path, capsys):
    """In a step and while a checkpoint is written; the page gets the table."""
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- faults -->\nold\n<!-- /faults -->\nb\n")
    command = ["--kills", "2", "--work-dir", tmp_path / "work", "--data", kitti_tree]
    assert faults.main([str(word) for word in (*command, "--page", page)]) == 0
    text = page.read_text()
    assert text.startswith("a\n<!-- faults -->\n| killed |") and text.endswith("/faults -->\nb\n")
    assert "| in a step | 1 | 1 | 0 | 0 |" in text
    # Nothing is left to do.
    assert faults.main([str(word) for word in command]) == 0
    assert "1/2" not in capsys.readouterr().out.split("| all |")[-1]
