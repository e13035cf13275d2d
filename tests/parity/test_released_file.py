"""The way of a user with the published file: convert it, evaluate it, at full size.

The file is synthetic: every entry of the released manifest, with the parity tests' weights.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from htcl.checkpoint.conversion import released_constants
from htcl.checkpoint.loading import load_from_local
from htcl.config import load_config

CONFIG = "projects/configs/occupancy/semantickitti/temporal_baseline.py"


@pytest.fixture
def released_file(repo_root, load_manifest, released_weight, tmp_path):
    """As mmcv 1.x writes it: weights under `state_dict`, with the prefix of its wrapper."""
    geometry = released_constants(load_config(repo_root / CONFIG))
    state = {}
    for name, shape, *_ in load_manifest():
        known = name in geometry and ".fc." not in name
        value = geometry[name] if known else released_weight(name, tuple(shape))
        state[f"module.{name}"] = torch.as_tensor(value)
    path = tmp_path / "pretrain.pth"
    torch.save({"meta": {"epoch": 24, "best": np.float64(0.17)}, "state_dict": state}, path)
    return path


@pytest.fixture
def one_frame(writable_kitti_tree):
    """A data root whose validation sequence has one labelled frame, with its history."""
    for frame in (0, 5):
        for path in (writable_kitti_tree / "sequences/08/voxels").glob(f"{frame:06d}.*"):
            path.unlink()
    return writable_kitti_tree


@pytest.mark.slow
def test_convert_and_evaluate(repo_root, released_file, one_frame, tmp_path):
    env = {**os.environ, "SEMANTICKITTI_ROOT": str(one_frame)}
    converted = tmp_path / "htcl.pth"

    def run(*command):
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            cwd=repo_root,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    report = run("tools/convert_checkpoint.py", released_file, converted)
    assert "released HTCL checkpoint" in report
    assert "dropped img_view_transformer.frustum" in report
    written = torch.load(converted, weights_only=True)["state_dict"]
    on_the_fly = load_from_local(str(released_file))["state_dict"]
    assert written.keys() == on_the_fly.keys()
    assert all(torch.equal(value, written[key]) for key, value in on_the_fly.items())
    del written, on_the_fly

    scores, predictions = tmp_path / "scores.json", tmp_path / "predictions"
    options = ("test_dataloader.num_workers=0", "test_dataloader.persistent_workers=False")
    arguments = ("--json", scores, "--out", predictions, "--work-dir", tmp_path / "work")
    run("tools/test.py", CONFIG, released_file, *arguments, "--cfg-options", *options)
    metrics = json.loads(scores.read_text())
    assert metrics
    assert all(math.isfinite(value) for value in metrics.values())
    (label,) = predictions.rglob("*.label")
    assert label.stat().st_size == 256 * 256 * 32 * 2
