"""Imports go one way: the contracts of pyproject.toml hold, and each finds what it forbids."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

# A forbidden import that each contract must find: contract, file, code.
FORBIDDEN = [
    ("floors", "htcl/losses/class_sums.py", "from htcl.datasets import voxel_files"),
    ("floors", "htcl/checkpoint/loading.py", "def f():\n    import htcl.engine.runner"),
    ("floors", "htcl/a_new_module.py", ""),
    ("model-layers", "htcl/models/layers/hourglass3d.py", "import htcl.models.depth.depth_net"),
    ("pictures", "htcl/visualization/meshes.py", "from htcl.models import HTCL"),
    ("formulas", "htcl/geometry/pixels.py", "from mmengine.model import BaseModule"),
    ("ground", "htcl/errors.py", "import torch"),
    ("sibling", "htcl/datasets/voxel_files.py", "import mini_kitti"),
    ("streets", "mini_kitti/__init__.py", "import htcl.config"),
    ("street-rooms", "mini_kitti/assets/mesh.py", "import mini_kitti.writer.generate"),
]


def lint(root: Path, *args: str) -> subprocess.CompletedProcess:
    """Checks the contracts of ``root``."""
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-cache", "--no-logo", *args],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "projects"), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_imports_go_one_way(repo_root):
    done = lint(repo_root)
    # The report names each offending import with its line.
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def copied_tree(repo_root, tmp_path):
    """Python files of the packages, without anything else."""
    for package in ("htcl", "mini_kitti"):
        shutil.copytree(
            repo_root / "projects" / package,
            tmp_path / "projects" / package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    shutil.copy(repo_root / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("contract", "file", "code"), FORBIDDEN)
def test_forbidden_import_is_named(copied_tree, contract, file, code):
    path = copied_tree / "projects" / file
    before = path.read_text() if path.exists() else ""
    path.write_text(f"{before}\n\n{code}\n")
    done = lint(copied_tree, "--contract", contract)
    assert done.returncode == 1
    module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert module in done.stdout, done.stdout


def test_imports_for_types_alone_are_free(copied_tree):
    path = copied_tree / "projects" / "htcl" / "files.py"
    code = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n"
    path.write_text(f"{path.read_text()}\n{code}")
    done = lint(copied_tree, "--contract", "ground")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_contract_is_tried(repo_root):
    settings = tomllib.loads((repo_root / "pyproject.toml").read_text())
    contracts = {entry["id"] for entry in settings["tool"]["importlinter"]["contracts"]}
    assert contracts == {contract for contract, _, _ in FORBIDDEN}
