"""What a training imports: a start must not wait for libraries that it never calls."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("open3d", "plotly", "IPython", "nuscenes", "lyft_dataset_sdk", "k3d")
REPORT = f"import sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"

START = """
from htcl.config import load_config
from htcl.engine.runner import build_runner
cfg = load_config("tests/data/tiny_htcl.py", {"data_root": sys.argv[1], "work_dir": sys.argv[2]})
runner = build_runner(cfg)
runner.train_loop, runner.val_loop, runner.build_optim_wrapper(cfg.optim_wrapper)
"""


def imported(repo_root, program, *args):
    """Which of the heavy libraries a fresh interpreter has after a program."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\n{REPORT}", *map(str, args)],
        cwd=repo_root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1].split()


def test_import_of_the_plugin(repo_root):
    assert imported(repo_root, "import htcl.plugin") == []


def test_start_of_a_training(repo_root, kitti_tree, tmp_path):
    """Building looks classes up in registries, which import what they know of on their own."""
    assert imported(repo_root, START, kitti_tree, tmp_path) == []


@pytest.mark.parametrize("name", ["htcl", "htcl.command_line", "htcl.errors", "htcl.files"])
def test_the_lowest_floor_is_light(repo_root, name):
    program = f"import {name}\nassert not {{'torch', 'numpy', 'mmengine'}} & set(sys.modules)"
    assert imported(repo_root, program) == []
