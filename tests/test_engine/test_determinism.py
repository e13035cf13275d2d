"""The same command twice, in two processes, on the CPU."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

NUM_STEPS = 3
PARTS = ("state_dict", "optimizer", "param_schedulers")
# The recommended mini network on images and volumes of toy size.
CONFIG = """
_base_ = ["{base}"]
data_root = "{data_root}"
input_size = (32, 128)
history_stride = 5
train_sequences = ("00",)
model = dict(
    stereo=dict(input_size=(48, 144), max_disparity=24), view_transformer=dict(voxel_size=1.6)
)
train_cfg = dict(max_iters={num_steps})
val_cfg = val_dataloader = val_evaluator = None
default_hooks = dict(logger=dict(interval=1))
custom_hooks = []
visualizer = dict(vis_backends=[dict(type="LocalVisBackend")])
"""


@pytest.fixture(scope="module")
def runs(repo_root, kitti_tree, tmp_path_factory):
    """Logged values, their checkpoint's file and its digests, of two runs."""
    folder = tmp_path_factory.mktemp("determinism")
    config = folder / "config.py"
    base = repo_root / "projects/configs/occupancy/mini/htcl_egopose.py"
    config.write_text(CONFIG.format(base=base, data_root=kitti_tree, num_steps=NUM_STEPS))
    return [train(repo_root, config, folder / name) for name in ("first", "second")]


def train(repo_root, config, work_dir):
    command = [sys.executable, "tools/train.py", str(config), "--work-dir", str(work_dir)]
    # Two threads, since their order is what could differ; waiting idly, as other tests may run.
    env = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        command, cwd=repo_root, capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (log,) = work_dir.glob("*/vis_data/scalars.json")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    curve = [{k: v for k, v in row.items() if "time" not in k} for row in rows]
    # The file also holds the hour of the run and how long each step took.
    checkpoint = torch.load(work_dir / f"iter_{NUM_STEPS}.pth", weights_only=False)
    digests = {part: digest(checkpoint[part]) for part in PARTS}
    return SimpleNamespace(curve=curve, digests=digests)


def digest(part):
    """SHA-256 over the bytes of all tensors and the text of everything else, with their places."""
    sha = hashlib.sha256()

    def add(place, value):
        if isinstance(value, dict):
            for key, item in value.items():
                add(f"{place}/{key}", item)
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                add(f"{place}/{index}", item)
        elif isinstance(value, torch.Tensor):
            sha.update(f"{place} {value.dtype} {tuple(value.shape)} ".encode())
            sha.update(value.contiguous().numpy().tobytes())
        else:
            sha.update(f"{place} {value!r} ".encode())

    add("", part)
    return sha.hexdigest()


def test_same_loss_curve(runs):
    first, second = (run.curve for run in runs)
    assert len(first) == NUM_STEPS
    assert all("loss" in row and "grad_norm" in row for row in first)
    assert first == second


def test_same_checkpoint(runs):
    first, second = (run.digests for run in runs)
    assert first == second


def test_digest_sees_every_bit():
    state = {"a": [torch.zeros(2)], "step": 1}
    assert digest(state) == digest({"a": [torch.zeros(2)], "step": 1})
    assert digest(state) != digest({"a": [torch.tensor([0.0, 1e-45])], "step": 1})
    assert digest(state) != digest({"a": [torch.zeros(2)], "step": 2})
