"""Several gloo processes: the same scores, the mean of the gradients, and ranks that die."""

from __future__ import annotations

import copy
import os
import re
import subprocess
from typing import Any

import pytest
import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.dataset import DefaultSampler, pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, MODELS
from mmengine.structures import BaseDataElement
from several_processes import in_processes
from torch.utils.data import DataLoader

from htcl.datasets.specification import build_specification
from htcl.engine.distributed import CPUDistributedDataParallel
from htcl.evaluation.ssc_metric import SSCMetric
from htcl.models.interfaces import required_inputs

GRID = {"origin": (0, -8, -1), "voxel_size": 1, "shape": (16, 16, 4)}
SPECIFICATION = build_specification({"base": "SemanticKITTI", "grid": GRID})
# Starting takes minutes of a slow machine, ending must not.
PATIENCE = 400


def _sample(index: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(index)
    shape = SPECIFICATION.grid.shape
    target, noise = torch.randint(0, 20, (2, *shape), generator=generator, dtype=torch.uint8)
    prediction = torch.where(torch.rand(shape, generator=generator) < 0.5, target, noise)
    target[torch.rand(shape, generator=generator) < 0.1] = 255
    meta = {"sequence": "08", "frame": f"{index:06d}", "specification": SPECIFICATION}
    sample = Det3DDataSample(metainfo=meta)
    sample.pred_voxels = BaseDataElement(semantics=prediction)
    sample.gt_voxels = BaseDataElement(semantics=target)
    return {"inputs": {}, "data_samples": sample}


def _score(rank: int, length: int, batch_size: int) -> dict[str, float]:
    data = [_sample(index) for index in range(length)]
    sampler = DefaultSampler(data, shuffle=False)
    loader = DataLoader(data, batch_size, sampler=sampler, collate_fn=pseudo_collate)
    evaluator = Evaluator(SSCMetric(ranges=(8.0,)))
    for batch in loader:
        evaluator.process(batch["data_samples"])
    return evaluator.evaluate(length)


@pytest.mark.parametrize("length", (2, 5))
def test_scores_are_the_same_to_the_last_digit(length, tmp_path):
    """Splits that do not divide among the processes, and fewer samples than processes."""
    expected = _score(0, length, 1)
    for count in (1, 2, 3, 4):
        for batch_size in (1, 2):
            folder = tmp_path / f"{count}_{batch_size}"
            folder.mkdir()
            scores = in_processes(count, _score, folder, length, batch_size)
            assert all(score == expected for score in scores)


def _gradients(rank: int, model: torch.nn.Module, batches: list[Any]) -> dict[str, torch.Tensor]:
    wrapped = CPUDistributedDataParallel(module=model, broadcast_buffers=False)
    batch = model.data_preprocessor(batches[rank], training=True)
    # The numbers of dropout.
    torch.manual_seed(1)
    losses = wrapped(**batch, mode="loss")
    model.parse_losses(losses)[0].backward()
    return {k: v.grad for k, v in model.named_parameters() if v.grad is not None}


def test_gradients_are_the_mean_of_the_processes(load_tiny_config, tmp_path):
    """Two processes of one sample give what one gives that accumulates two steps."""
    cfg = load_tiny_config()
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).train()
    needed = sorted(required_inputs(model, training=True))
    data = DATASETS.build({**cfg.train_dataloader.dataset, "inputs": needed, "augmentations": []})
    batches = [pseudo_collate([data[index]]) for index in (0, 2)]
    expected = copy.deepcopy(model)
    for batch in copy.deepcopy(batches):
        torch.manual_seed(1)
        prepared = expected.data_preprocessor(batch, training=True)
        (expected.parse_losses(expected(**prepared, mode="loss"))[0] / 2).backward()
    first, second = in_processes(2, _gradients, tmp_path, model, batches)
    assert all(torch.equal(first[name], second[name]) for name in first)
    compared = 0
    for name, parameter in expected.named_parameters():
        if parameter.grad is not None:
            compared += 1
            scale = parameter.grad.abs().max()
            assert (first[name] - parameter.grad).abs().max() <= 1e-3 * scale + 1e-7, name
    assert compared > 100


CONFIG = """
_base_ = ["{base}"]
custom_imports = dict(imports=["htcl.plugin", "rank_faults"], allow_failed_imports=False)
train_cfg = dict(max_iters=4)
default_hooks = dict(checkpoint=dict(interval=1))
custom_hooks = [dict(type="RankFaultHook", **{fault})]
# On a busy machine one process starts half a minute after the other.
env_cfg = dict(dist_cfg=dict(timeout=60))
"""


@pytest.fixture
def train(repo_root, kitti_tree, tmp_path):
    """Trains the toy network in two processes, of which one meets a fault."""

    def train(fault: dict[str, Any], *options: str, processes: int = 2, **environment: str) -> Any:
        config = tmp_path / "faulty.py"
        config.write_text(
            CONFIG.format(base=repo_root / "tests" / "data" / "tiny_htcl.py", fault=fault)
        )
        helpers = repo_root / "tests" / "helpers"
        paths = [str(repo_root / "projects"), str(helpers), os.environ.get("PYTHONPATH", "")]
        env = {
            **os.environ, "MINI_KITTI_ROOT": str(kitti_tree), "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(paths), **environment,
        }  # fmt: skip
        command = [
            "bash",
            repo_root / "run.sh",
            config,
            str(processes),
            "--work-dir",
            tmp_path / "work",
        ]
        command += list(options)
        return subprocess.run(
            command, check=False, env=env, capture_output=True, text=True, timeout=PATIENCE
        )

    return train


@pytest.mark.slow
@pytest.mark.parametrize("how", ("raise", "memory", "kill", "stop"))
def test_a_rank_that_dies_ends_the_job_and_is_named(how, train, tmp_path):
    done = train({"how": how, "marker": str(tmp_path / "happened")})
    assert (tmp_path / "happened").exists()
    assert done.returncode != 0
    if how == "stop":
        # Nobody can tell who is silent, but that somebody is, and the run does not wait for ever.
        assert "timed out" in done.stderr.lower()
    else:
        assert re.search(r"rank\s*:\s*1 ", done.stderr), done.stderr[-3000:]
        assert how == "kill" or "the fault of the test" in done.stderr


@pytest.mark.slow
def test_a_killed_loader_is_reported(train, tmp_path):
    """At once, in one line: nobody waits for its next sample."""
    options = ("--cfg-options", "num_workers=1", "train_cfg.max_iters=10000")
    fault = {"how": "worker", "rank": 0, "marker": str(tmp_path / "happened")}
    done = train(fault, *options, processes=1)
    assert (tmp_path / "happened").exists()
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("train: ")]
    assert "a process that loads samples is gone" in line and "--resume" in line
    # The traceback that follows is torchrun's.
    assert "RuntimeError" not in done.stderr


@pytest.mark.slow
def test_a_restarted_job_goes_on(train, tmp_path):
    marker = str(tmp_path / "happened")
    # Seen: the first start after a kill, where gloo was refused a connection and ended.
    done = train({"how": "kill", "marker": marker}, "--resume", MAX_RESTARTS="3")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "work" / "iter_4.pth").exists()
    logs = [path.read_text() for path in sorted((tmp_path / "work").glob("*/*.log"))]
    assert "Iter(train) [1/4]" in logs[0]
    assert "Iter(train) [1/4]" not in logs[-1] and "Iter(train) [4/4]" in logs[-1]
