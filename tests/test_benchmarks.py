"""The long checks, on the real frames beside the repository."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture
def real_root(shared_dir: Path) -> Path:
    return shared_dir / "data" / "semantickitti" / "dataset"


def _run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_full_size_step_on_a_real_clip_fits_in_20_gib(real_root):
    """Forward and backward of the released network: finite losses, every gradient, the memory."""
    out = _run("benchmarks/full_size.py", "--data", str(real_root))
    values = dict(line.split() for line in out.splitlines() if line.startswith("  "))
    assert math.isfinite(float(values["loss"]))
    assert float(values["parameters_without_gradient"]) == 0
    assert float(values["peak_memory_gib"]) < 20


def test_the_mini_network_learns_two_real_frames(real_root, tmp_path):
    _run("benchmarks/real_frames.py", "--data", str(real_root), "--work-dir", str(tmp_path))
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["0.4 m"]["mIoU_present"] > 50
