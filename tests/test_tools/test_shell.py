"""The shell entry points: usage, errors, arguments, and runs of two processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MINI = "projects/configs/occupancy/mini/htcl_egopose.py"
ROOT = Path(__file__).resolve().parents[2]
TRAIN = str(ROOT / "tools/train.py")
# Script and a complete command line of it.
SCRIPTS = {
    "run.sh": ("CONFIG", "2"),
    "run_eval_kitti.sh": ("CONFIG", "CKPT"),
    "tools/dist_test.sh": ("CONFIG", "CKPT", "2"),
    "tools/slurm_train.sh": ("PARTITION", "JOB", "CONFIG"),
    "tools/slurm_test.sh": ("PARTITION", "JOB", "CONFIG", "CKPT"),
}


@pytest.fixture(scope="module")
def bash(repo_root):
    """Runs a script of the repository; variables with the value None are removed."""

    def run(script, *args, cwd=None, timeout=300, **variables):
        env = {**os.environ, **{name: value for name, value in variables.items() if value}}
        for name in ("NNODES", "NODE_RANK", "MASTER_ADDR", *variables):
            if variables.get(name) is None:
                env.pop(name, None)
        return subprocess.run(
            ["bash", str(repo_root / script), *map(str, args)],
            cwd=cwd or repo_root, env=env, capture_output=True, text=True, check=False,
            timeout=timeout,
        )  # fmt: skip

    return run


@pytest.fixture
def stub(tmp_path):
    """Makes a PATH on which a program prints its arguments."""

    def make(program):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        path = folder / program
        path.write_text('#!/bin/sh\nfor arg in "$@"; do echo "$arg"; done\n')
        path.chmod(0o755)
        return f"{folder}:{os.environ['PATH']}"

    return make


@pytest.mark.parametrize("script", SCRIPTS)
def test_help(script, bash):
    done = bash(script, "--help")
    assert done.returncode == 0
    assert f"usage: bash {script} {' '.join(SCRIPTS[script][:1])}" in done.stdout
    assert "example: " in done.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_too_few_arguments(script, bash):
    for count in range(len(SCRIPTS[script])):
        done = bash(script, *SCRIPTS[script][:count])
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith("usage: ")


@pytest.mark.parametrize("script", SCRIPTS)
def test_missing_files(script, bash):
    arguments = [{"CONFIG": MINI}.get(arg, arg) for arg in SCRIPTS[script]]
    done = bash(script, *SCRIPTS[script])
    assert done.returncode == 1
    assert done.stderr == f"{os.path.basename(script)}: config 'CONFIG' does not exist\n"
    if "CKPT" in arguments:
        done = bash(script, *arguments)
        assert done.returncode == 1
        assert done.stderr == f"{os.path.basename(script)}: checkpoint 'CKPT' does not exist\n"


@pytest.mark.parametrize("count", ["0", "two", "-1", "1.5"])
def test_number_of_processes(count, bash):
    done = bash("run.sh", MINI, count)
    assert done.returncode == 2
    assert f"must be a positive integer, got '{count}'" in done.stderr


@pytest.mark.parametrize("missing", ["NODE_RANK", "MASTER_ADDR"])
def test_several_machines_need_their_variables(missing, bash):
    variables = {"NNODES": "2", "NODE_RANK": "0", "MASTER_ADDR": "localhost", missing: None}
    done = bash("run.sh", MINI, "2", **variables)
    assert done.returncode == 1
    assert f"{missing}: set {missing} to" in done.stderr


def test_torchrun_on_one_machine(bash, stub):
    # With an environment active, `python` is taken from PATH.
    done = bash("run.sh", MINI, "3", "--resume", PATH=stub("python"), VIRTUAL_ENV="/some/env")
    assert done.stdout.split() == [
        "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "3",
        "--max_restarts", "0",
        TRAIN, MINI, "--resume", "--launcher", "pytorch",
    ]  # fmt: skip


def test_torchrun_on_two_machines(bash, stub):
    done = bash(
        "run.sh", MINI, "3", PATH=stub("python"), VIRTUAL_ENV="/some/env",
        NNODES="2", NODE_RANK="1", MASTER_ADDR="node0", MASTER_PORT="1234",
    )  # fmt: skip
    assert done.stdout.split() == [
        "-m", "torch.distributed.run", "--nnodes", "2", "--node_rank", "1",
        "--master_addr", "node0", "--master_port", "1234", "--nproc_per_node", "3",
        "--max_restarts", "0",
        TRAIN, MINI, "--launcher", "pytorch",
    ]  # fmt: skip


def test_evaluation_in_one_process(bash, stub, tmp_path):
    checkpoint = tmp_path / "some.pth"
    checkpoint.touch()
    # From another folder: paths are those of the caller.
    (tmp_path / "c.py").touch()
    done = bash(
        ROOT / "run_eval_kitti.sh", "c.py", "some.pth", "--out", "a b",
        cwd=tmp_path, PATH=stub("python"), VIRTUAL_ENV="/some/env",
    )  # fmt: skip
    expected = [str(ROOT / "tools/test.py"), "c.py", "some.pth", "--out", "a b"]
    assert done.stdout.splitlines() == expected, done.stderr


@pytest.mark.parametrize("script", ["tools/slurm_train.sh", "tools/slurm_test.sh"])
def test_no_slurm(script, bash, tmp_path):
    if shutil.which("srun"):
        pytest.skip("this machine has Slurm")
    (tmp_path / "some.pth").touch()
    done = bash(script, "gpu", "job", MINI, tmp_path / "some.pth")
    assert done.returncode == 1
    assert "srun not found; this script runs on a Slurm cluster" in done.stderr


def test_slurm_training(bash, stub):
    done = bash(
        "tools/slurm_train.sh", "gpu", "htcl", MINI, "--resume",
        PATH=stub("srun"), VIRTUAL_ENV="/some/env", GPUS="16", GPUS_PER_NODE=None,
        CPUS_PER_TASK="6", SRUN_ARGS="--time 1:00 --exclusive",
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "--partition=gpu", "--job-name=htcl", "--gres=gpu:8", "--ntasks=16",
        "--ntasks-per-node=8", "--cpus-per-task=6", "--kill-on-bad-exit=1",
        "--time", "1:00", "--exclusive",
        "python", "-u", TRAIN, MINI, "--resume", "--launcher", "slurm",
    ]  # fmt: skip


def test_slurm_test_on_part_of_a_node(bash, stub, tmp_path):
    checkpoint = tmp_path / "some.pth"
    checkpoint.touch()
    done = bash(
        "tools/slurm_test.sh", "gpu", "eval", MINI, checkpoint,
        PATH=stub("srun"), VIRTUAL_ENV="/some/env", GPUS="4", SRUN_ARGS=None,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert {"--gres=gpu:4", "--ntasks=4", "--ntasks-per-node=4"} <= set(lines)
    assert lines[-5:] == [str(ROOT / "tools/test.py"), MINI, str(checkpoint), "--launcher", "slurm"]


def test_every_tool_shows_an_example(repo_root):
    tools = [*repo_root.glob("tools/*.py"), *repo_root.glob("tools/data_converter/*.py")]
    tools = [tool for tool in tools if tool.name != "__init__.py"]
    assert len(tools) >= 8
    for tool in tools:
        command = [sys.executable, str(tool), "--help"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        path = tool.relative_to(repo_root).as_posix()
        assert re.search(rf"{path}|bash .*\.sh", text), f"{tool.name} --help has no example"


@pytest.mark.slow
def test_two_processes_score_like_one(
    bash, run_tool, tiny_config, training_config, trained, tmp_path
):
    """Three frames on two processes: one of them is drawn twice and must count once."""
    alone, both = tmp_path / "alone.json", tmp_path / "both.json"
    arguments = (training_config, trained / "iter_4.pth")
    work = ("--work-dir", tmp_path / "work")
    assert run_tool("test.py", *arguments, *work, "--json", alone) == 0
    done = bash(
        "tools/dist_test.sh", *arguments, "2", *work, "--json", both,
        "--out", tmp_path / "predictions", OMP_NUM_THREADS="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(both.read_text()) == json.loads(alone.read_text())
    assert (done.stdout + done.stderr).count("Semantic scene completion, 3 samples") == 1
    names = sorted(path.name for path in (tmp_path / "predictions").rglob("*.label"))
    assert names == ["000000.label", "000005.label", "000010.label"]


@pytest.mark.slow
def test_two_processes_train(bash, tiny_config, tmp_path):
    done = bash("run.sh", tiny_config, "2", "--work-dir", tmp_path, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "iter_2.pth").is_file()
    # One process writes the log.
    (log,) = tmp_path.glob("*/vis_data/scalars.json")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [1, 2]
