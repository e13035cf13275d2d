"""Checkpoints of a toy network in mmengine's own runner, ended at the worst moments.

The network is one weight that starts at 0 and that every step raises by 1: its value is the step.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner
from torch import nn

from htcl.checkpoint.atomic_backend import AtomicBackend
from htcl.checkpoint.loading import register_checkpoint_loader
from htcl.checkpoint.resuming import newest_checkpoint
from htcl.engine.hooks import checkpoint as module


class Counter(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, inputs, data_samples=None, mode="loss"):
        return {"loss": -self.weight} if mode == "loss" else [{"weight": self.weight.item()}]


class Scores(BaseMetric):
    """The score of step k is the k-th of a list."""

    def __init__(self, scores):
        super().__init__()
        self.scores = scores
        self.steps = []

    def process(self, data_batch, data_samples):
        self.results.append(round(data_samples[0]["weight"]))

    def compute_metrics(self, results):
        self.steps.append(results[0])
        return {"mIoU": self.scores[results[0]]}


class Killed(BaseException):
    """As little can be done after it as after a SIGKILL."""


@pytest.fixture(autouse=True)
def loader():
    before = dict(CheckpointLoader._schemes)
    register_checkpoint_loader()
    yield
    CheckpointLoader._schemes = before


@pytest.fixture
def start(tmp_path):
    """Builds a run of 4 steps with evaluations after 2 and 4; returns it and its metric."""
    runs = []

    def start(scores=(0, 0, 1, 0, 2), **hook):
        loader = {
            "batch_size": 1, "num_workers": 0, "dataset": [{"inputs": torch.zeros(1)}] * 9,
            "sampler": {"type": "InfiniteSampler", "shuffle": False},
        }  # fmt: skip
        val = {**loader, "sampler": {"type": "DefaultSampler"}, "dataset": loader["dataset"][:1]}
        metric = Scores(scores)
        newest = newest_checkpoint(tmp_path / "work")
        options = {"interval": 1, "max_keep_ckpts": 2, "save_best": "mIoU", "rule": "greater"}
        run = Runner(
            Counter(), str(tmp_path / "work"), loader, val, optim_wrapper={
                "optimizer": {"type": "SGD", "lr": 1.0}
            }, train_cfg={"by_epoch": False, "max_iters": 4, "val_interval": 2}, val_cfg={},
            val_evaluator=Evaluator(metric), load_from=newest and str(newest),
            resume=newest is not None,
            default_hooks={"checkpoint": {
                "type": "SafeCheckpointHook", "by_epoch": False, **options, **hook
            }}, experiment_name=f"{tmp_path.name}_{len(runs)}", default_scope="mmengine",
        )  # fmt: skip
        runs.append(run)
        return run, metric

    return start


@pytest.fixture
def work(tmp_path):
    return tmp_path / "work"


def names(folder):
    return {path.name for path in folder.glob("*.pth")}


def whole(folder):
    """Every file under a final name can be read."""
    for path in folder.glob("*.pth"):
        torch.load(path, weights_only=False)
    return True


@pytest.fixture
def die(monkeypatch):
    """Kills the run at its n-th file that matches, before or after it is written."""

    def die(pattern, occasion, when):
        put, seen = AtomicBackend.put, []

        def faulty(self, obj, filepath):
            seen.extend([filepath] if Path(filepath).match(pattern) else [])
            due = Path(filepath).match(pattern) and len(seen) == occasion
            if due and when == "half":
                # What a killed process leaves of the file that it was writing.
                Path(filepath).with_name(f".{Path(filepath).name}.ab.part").write_bytes(obj[:99])
                raise Killed
            put(self, obj, filepath)
            if due:
                raise Killed

        monkeypatch.setattr(AtomicBackend, "put", faulty)

    return die


def test_files_of_a_run(start, work):
    run, metric = start()
    run.train()
    assert names(work) == {"iter_3.pth", "iter_4.pth", "best_mIoU_iter_4.pth"}
    assert (work / "last_checkpoint").read_text() == str(work / "iter_4.pth")
    assert metric.steps == [2, 4]
    content = torch.load(work / "iter_4.pth", weights_only=False)
    assert content["state_dict"]["weight"] == 4
    assert content["message_hub"]["runtime_info"]["best_score"] == 2


@pytest.mark.parametrize("when", ["half", "after"])
@pytest.mark.parametrize(
    ("pattern", "occasion"),
    [("iter_2.pth", 1), ("iter_2.pth", 2), ("iter_3.pth", 1), ("iter_4.pth", 1), ("iter_4.pth", 2),
     ("best_*_2.pth", 1), ("best_*_4.pth", 1)],
)  # fmt: skip
def test_killed_while_writing(start, work, die, monkeypatch, pattern, occasion, when):
    """All files that are there are whole; resumed, the folder ends like that of a whole run."""
    run, _ = start()
    with monkeypatch.context():
        die(pattern, occasion, when)
        with pytest.raises(Killed):
            run.train()
    monkeypatch.undo()
    assert whole(work)
    if pattern == "best_*_4.pth":
        # Nothing lost: the old one goes after the new one has come.
        assert "best_mIoU_iter_2.pth" in names(work)
    run, _ = start()
    run.train()
    assert names(work) == {"iter_3.pth", "iter_4.pth", "best_mIoU_iter_4.pth"}
    assert not list(work.glob(".*"))
    content = torch.load(work / "iter_4.pth", weights_only=False)
    assert content["state_dict"]["weight"] == 4
    assert content["message_hub"]["runtime_info"]["best_score"] == 2


def test_a_lost_evaluation_is_done_on_resume(start, work, monkeypatch):
    run, _ = start()
    monkeypatch.setattr(Scores, "process", lambda *_, **__: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        run.train()
    monkeypatch.undo()
    assert names(work) == {"iter_1.pth", "iter_2.pth"}
    run, metric = start()
    run.train()
    assert metric.steps == [2, 4]
    # The work is done: nothing is evaluated again, the less so with a worse score in between.
    run, metric = start()
    run.train()
    assert metric.steps == []


def test_an_evaluation_without_a_new_best_is_done_once(start, work):
    run, metric = start(scores=(0, 0, 2, 0, 1))
    run.train()
    assert metric.steps == [2, 4]
    assert "best_mIoU_iter_2.pth" in names(work)
    run, metric = start()
    run.train()
    assert metric.steps == []


def test_moved_folder_keeps_to_its_own_files(start, work, monkeypatch):
    """A copy's run does not remove the original's best checkpoint."""
    run, _ = start()
    run.train_loop._max_iters = 2
    run.train()
    other = work.with_name("other")
    work.rename(other)
    shutil.copytree(other, work)
    for name in ("iter_1.pth", "iter_2.pth"):
        content = torch.load(work / name, weights_only=False)
        info = content["message_hub"]["runtime_info"]
        if "best_ckpt" in info:
            info["best_ckpt"] = str(other / "best_mIoU_iter_2.pth")
        torch.save(content, work / name)
    run, _ = start()
    run.train()
    assert "best_mIoU_iter_2.pth" in names(other)
    assert "best_mIoU_iter_2.pth" not in names(work)


def test_only_one_is_kept_and_it_is_whole(start, work, die, monkeypatch):
    """mmengine would remove the only one before it writes the next."""
    run, _ = start(max_keep_ckpts=1)
    die("iter_3.pth", 1, "half")
    with pytest.raises(Killed):
        run.train()
    monkeypatch.undo()
    assert newest_checkpoint(work) == work / "iter_2.pth"


def test_full_disk(start, work, monkeypatch):
    """The error names the file; the last checkpoint stays and can be gone on from."""
    run, _ = start()
    fsync, count = os.fsync, []

    def full(descriptor):
        count.append(None)
        if len(count) > 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr("htcl.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        run.train()
    monkeypatch.undo()
    assert Path(caught.value.filename).parent == work
    assert whole(work)
    assert not list(work.glob(".*"))
    assert newest_checkpoint(work) is not None


def test_pointer_appears_whole(start, work, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "point_to", lambda folder, file: seen.append((folder, file)))
    run, _ = start()
    run.train()
    assert {Path(file).name for _, file in seen} == {f"iter_{n}.pth" for n in (1, 2, 3, 4)}
    assert not (work / "last_checkpoint").exists()
