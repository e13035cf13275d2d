from __future__ import annotations

from datetime import timedelta

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODEL_WRAPPERS

from htcl.engine.distributed import CPUDistributedDataParallel, set_up_launcher
from htcl.errors import InvalidValueError

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_one_process():
    cfg = Config({})
    set_up_launcher(cfg, "none")
    assert cfg.to_dict() == {"launcher": "none"}


@pytest.mark.parametrize("launcher", ["slurm", "mpi"])
def test_launchers_that_need_a_gpu(launcher):
    with pytest.raises(InvalidValueError, match=f"launcher '{launcher}' needs CUDA.*run.sh"):
        set_up_launcher(Config({}), launcher)


def test_without_torchrun(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(InvalidValueError, match=r"WORLD_SIZE, MASTER_ADDR not set.*bash run\.sh"):
        set_up_launcher(Config({}), "pytorch")


def test_with_a_gpu_mmengine_does_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    cfg = Config({})
    set_up_launcher(cfg, "slurm")
    assert cfg.to_dict() == {"launcher": "slurm"}


def test_process_group_on_the_cpu(monkeypatch):
    for name, value in zip(VARIABLES, ("0", "1", "localhost", "29511"), strict=True):
        monkeypatch.setenv(name, value)
    started = []
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: False)
    monkeypatch.setattr(
        "torch.distributed.init_process_group", lambda **kwargs: started.append(kwargs)
    )
    cfg = Config({"find_unused_parameters": True, "env_cfg": {"dist_cfg": {"timeout": 30}}})
    set_up_launcher(cfg, "pytorch")
    assert started == [{"backend": "gloo", "timeout": timedelta(seconds=30)}]
    assert cfg.model_wrapper_cfg.find_unused_parameters
    assert MODEL_WRAPPERS.get(cfg.model_wrapper_cfg.type) is CPUDistributedDataParallel
