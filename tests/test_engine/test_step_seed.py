"""Random numbers of the data, in one go and resumed, in mmengine's own runner."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from htcl.config import load_config
from htcl.engine.runner import build_runner


class Augmented:
    """Eight samples, each its number and a random one."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"inputs": torch.tensor([index, np.random.rand()], dtype=torch.float64)}


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, inputs, data_samples=None, mode="loss"):
        return {"loss": self.weight}


class Watch(Hook):
    def __init__(self):
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen.append([tuple(sample.tolist()) for sample in data_batch["inputs"]])


@pytest.fixture
def passes(tmp_path):
    """Numbers that three passes of the data draw, or those from a later one on."""

    def passes(first=0, workers=2):
        watch = Watch()
        loader = {
            "batch_size": 2, "num_workers": workers, "dataset": Augmented(),
            "sampler": {"type": "DefaultSampler", "shuffle": True},
            "collate_fn": {"type": "pseudo_collate"}, "worker_init_fn": {"type": "seed_worker"},
        }  # fmt: skip
        runner = Runner(
            Model(), str(tmp_path), loader, optim_wrapper={"optimizer": {"type": "SGD", "lr": 1}},
            train_cfg={"by_epoch": True, "max_epochs": 3}, custom_hooks=[watch],
            default_hooks={"seed": {"type": "StepSeedHook"}, "checkpoint": None},
            randomness={"seed": 5}, default_scope="mmengine",
            experiment_name=f"{tmp_path.name}_{first}_{workers}",
        )  # fmt: skip
        runner.train_loop._epoch, runner.train_loop._iter = first, 4 * first
        runner.train()
        return watch.seen

    return passes


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_pass_draws_what_the_whole_run_draws(passes, workers):
    whole = passes(0, workers)
    assert len(whole) == 12
    assert passes(2, workers) == whole[8:]
    numbers = {number for batch in whole for _, number in batch}
    # mmengine's seeds, the same for each pass, would make 8 of them.
    assert len(numbers) == 24


@pytest.mark.parametrize("by_epoch", [True, False])
def test_loader_of_a_training(repo_root, kitti_tree, tmp_path, by_epoch):
    """Processes end with the pass, if a pass is what checkpoints lie between."""
    parts = ("stereo", "depth_fusion", "temporal", "temporal_fusion")
    cfg = load_config(repo_root / "tests/data/tiny_htcl.py", {f"model.{p}": None for p in parts})
    cfg.merge_from_dict({"train_dataloader.dataset.data_root": str(kitti_tree)})
    cfg.train_dataloader.num_workers = 1
    if by_epoch:
        cfg.train_cfg = {"type": "EpochBasedTrainLoop", "max_epochs": 1}
    deterministic = torch.are_deterministic_algorithms_enabled()
    loader = build_runner(cfg, work_dir=tmp_path).train_loop.dataloader
    torch.use_deterministic_algorithms(deterministic)
    assert loader.persistent_workers is not by_epoch
    assert (loader.worker_init_fn.func.__name__ == "seed_worker") is by_epoch
