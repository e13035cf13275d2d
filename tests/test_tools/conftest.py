"""Short real trainings of a toy network, shared by the tests of the training and test commands."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

# Validation, best checkpoint, TensorBoard, pictures and EMA in four steps.
CONFIG = """
_base_ = ["{base}"]
train_cfg = dict(max_iters=4, val_interval=2, val_begin=1)
default_hooks = dict(checkpoint=dict(interval=2))
custom_hooks = [
    dict(type="ProgressBarHook"),
    dict(type="PredictionPictureHook", interval=3),
    dict(type="EMAHook", momentum=0.1),
]
"""


@pytest.fixture(scope="session")
def tiny_config(repo_root: Path, kitti_tree: Path) -> Iterator[str]:
    """Path of the toy network's config, its data set to the synthetic tree."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINI_KITTI_ROOT", str(kitti_tree))
        yield str(repo_root / "tests" / "data" / "tiny_htcl.py")


@pytest.fixture(scope="session")
def training_config(tiny_config: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a config of a short training with all extras."""
    path = tmp_path_factory.mktemp("config") / "short_training.py"
    path.write_text(CONFIG.format(base=tiny_config))
    return str(path)


@pytest.fixture(scope="session")
def run_tool(load_tool) -> Callable[..., int]:
    """Calls ``main`` of a script of ``tools/`` in this process; returns its exit status."""

    def run(name: str, *args: object) -> int:
        deterministic = torch.are_deterministic_algorithms_enabled()
        try:
            return load_tool(name).main([str(arg) for arg in args])
        finally:
            torch.use_deterministic_algorithms(deterministic)

    return run


@pytest.fixture(scope="session")
def trained(run_tool, training_config: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Work dir of an uninterrupted training of four steps."""
    work_dir = tmp_path_factory.mktemp("trained")
    assert run_tool("train.py", training_config, "--work-dir", work_dir) == 0
    return work_dir


@pytest.fixture
def stopped(trained: Path, tmp_path: Path) -> Path:
    """Work dir as it is two steps into the training."""
    work_dir = tmp_path / "stopped"
    work_dir.mkdir()
    shutil.copy(trained / "iter_2.pth", work_dir)
    (work_dir / "last_checkpoint").write_text(str(work_dir / "iter_2.pth"))
    return work_dir
