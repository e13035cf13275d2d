"""State divided among processes: the same weights, and a checkpoint that any run can go on from."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIMIZERS
from several_processes import in_processes
from torch import nn

from htcl.engine.sharded_optimizer import ShardedOptimizer, gather_state
from htcl.errors import InvalidValueError

ADAMW = {"lr": 1e-2, "weight_decay": 0.1}


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))


def _step(network, optimizer, seed):
    """A step whose gradients are those of all processes, as after DDP's mean."""
    generator = torch.Generator().manual_seed(seed)
    optimizer.zero_grad()
    network(torch.randn(8, 6, generator=generator)).square().mean().backward()
    optimizer.step()


def _train(rank, state):
    network = _network()
    optimizer = OPTIMIZERS.build(
        {"type": "ShardedOptimizer", "optimizer_type": "AdamW", **ADAMW},
        default_args={"params": network.parameters()},
    )
    if state is not None:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    for seed in range(2):
        _step(network, optimizer, seed)
    gather_state(OptimWrapper(optimizer))
    whole = optimizer.state_dict() if rank == 0 else None
    return {"network": network.state_dict(), "optimizer": whole, "own": len(optimizer.optim.state)}


def test_as_the_optimiser_alone_and_gone_on_from_its_state(tmp_path):
    network = _network()
    optimizer = torch.optim.AdamW(network.parameters(), **ADAMW)
    state = None
    for part, count in (("first", 2), ("second", 3)):
        for seed in range(2):
            _step(network, optimizer, seed)
        (tmp_path / part).mkdir()
        results = in_processes(count, _train, tmp_path / part, state)
        for result in results:
            for name, value in network.state_dict().items():
                torch.testing.assert_close(result["network"][name], value, rtol=0, atol=0)
        # Six parameters, each kept by one process; the second part has one process more.
        assert sum(result["own"] for result in results) == 6
        assert max(result["own"] for result in results) < 6
        state = results[0]
        for index, values in optimizer.state_dict()["state"].items():
            for name, value in values.items():
                assert torch.equal(state["optimizer"]["state"][index][name], value)


def test_one_process_has_nobody_to_share_with():
    with pytest.raises(
        InvalidValueError, match=r"there is one: start with `bash run\.sh CONFIG N`"
    ):
        ShardedOptimizer(_network().parameters(), "AdamW", lr=1)


def _unknown(rank):
    with pytest.raises(InvalidValueError, match="optimizer_type='Adams'"):
        ShardedOptimizer(_network().parameters(), "Adams", lr=1)


def test_unknown_optimiser(tmp_path):
    in_processes(1, _unknown, tmp_path)


def test_other_optimisers_have_nothing_to_gather():
    gather_state(OptimWrapper(torch.optim.SGD(_network().parameters(), lr=1)))


def _run(repo_root, data, config, work_dir):
    env = {**os.environ, "MINI_KITTI_ROOT": str(data), "OMP_NUM_THREADS": "1"}
    command = ["bash", repo_root / "run.sh", config, "2", "--resume", "--work-dir", work_dir]
    command += [
        "--cfg-options",
        "train_cfg.max_iters=4",
        "default_hooks.checkpoint.max_keep_ckpts=-1",
    ]
    done = subprocess.run(command, check=False, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-5000:]


@pytest.mark.slow
def test_example_trains_in_two_processes_and_goes_on(repo_root, kitti_tree, tmp_path):
    """The weights of the shipped example are those of AdamW in every process, also resumed."""
    example = repo_root / "docs/examples/sharded_config.py"
    tiny = (repo_root / "tests/data/tiny_htcl.py").read_text()
    for name, base in (
        ("sharded", example),
        ("whole", repo_root / "projects/configs/occupancy/mini/htcl_plus.py"),
    ):
        config = tmp_path / f"{name}.py"
        relative = '"../../projects/configs/occupancy/mini/htcl_plus.py"'
        assert relative in tiny
        config.write_text(tiny.replace(relative, f'"{base}"'))
        _run(repo_root, kitti_tree, config, tmp_path / name)
    (tmp_path / "resumed").mkdir()
    shutil.copy(tmp_path / "sharded/iter_2.pth", tmp_path / "resumed")
    _run(repo_root, kitti_tree, tmp_path / "sharded.py", tmp_path / "resumed")
    first, *others = (
        torch.load(tmp_path / name / "iter_4.pth", weights_only=False)
        for name in ("whole", "sharded", "resumed")
    )
    for other in others:
        for key in ("state_dict", "optimizer"):
            ours, theirs = first[key], other[key]
            if key == "optimizer":
                ours, theirs = ours["state"], theirs["state"]
            torch.testing.assert_close(theirs, ours, rtol=0, atol=0)
