"""The hooks against stand-ins for runner and model."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.hooks import RuntimeInfoHook
from mmengine.runner import IterBasedTrainLoop, get_priority
from mmengine.structures import BaseDataElement

from htcl.datasets.specification import build_specification
from htcl.engine.hooks import (
    LossTransferHook,
    PredictionPictureHook,
    PredictionWriterHook,
    ProgressBarHook,
    StepSeedHook,
)
from htcl.geometry import Camera, VoxelGrid

LOSS = {"loss": torch.tensor(1.25)}


def make_sample(shape=(4, 4, 2), frame="000005", fill=1):
    grid = VoxelGrid((0.0, -0.4, -0.2), 0.2, shape)
    sample = Det3DDataSample(
        metainfo={
            "sequence": "08",
            "frame": frame,
            "image_sizes": [(8, 16)],
            "specification": replace(build_specification("SemanticKITTI"), grid=grid),
        }
    )
    sample.pred_voxels = BaseDataElement(semantics=torch.full(shape, fill, dtype=torch.uint8))
    return sample


class Model(torch.nn.Module):
    """Predicts cars everywhere."""

    modes: list[bool]

    def val_step(self, batch):
        self.modes = [self.training]
        return [make_sample() for _ in batch["data_samples"]]


def make_runner(**fields):
    eye = torch.eye(4)[None]
    inputs = {
        "images": torch.zeros(1, 3, 8, 16, dtype=torch.uint8),
        "cameras": Camera(eye, eye, torch.eye(3)[None], eye, (8, 16)),
    }
    sample = make_sample()
    sample.gt_voxels = BaseDataElement(semantics=torch.zeros(4, 4, 2, dtype=torch.uint8))
    pictures = {}
    runner = SimpleNamespace(
        model=Model(),
        iter=9,
        val_loop=object(),
        val_dataloader=SimpleNamespace(dataset=[{"inputs": inputs, "data_samples": sample}]),
        visualizer=SimpleNamespace(
            add_image=lambda name, image, step: pictures.update({(name, step): image})
        ),
        logger=SimpleNamespace(info=lambda text: None),
        pictures=pictures,
    )
    return SimpleNamespace(**{**vars(runner), **fields})


class TestProgressBar:
    @staticmethod
    def runner(start=0, total=5):
        loop = IterBasedTrainLoop.__new__(IterBasedTrainLoop)
        return SimpleNamespace(max_iters=total, iter=start, train_loop=loop)

    @pytest.mark.parametrize(("start", "count"), [(0, 5), (3, 5)])
    def test_counts_from_where_the_run_starts(self, start, count, capsys):
        hook = ProgressBarHook()
        runner = self.runner(start)
        hook.before_train(runner)
        assert hook._bars["train"].n == start
        for step in range(start, count):
            hook.after_train_iter(runner, step, outputs=LOSS)
        assert hook._bars["train"].n == count
        hook.after_train(runner)
        lines = capsys.readouterr().err.splitlines()
        assert 1 <= len(lines) <= 3
        assert "5/5" in lines[-1]
        assert "loss 1.250" in lines[-1]
        assert not any("epoch" in line or "\r" in line for line in lines)

    def test_names_the_epoch(self, capsys):
        hook = ProgressBarHook()
        runner = SimpleNamespace(max_iters=2, iter=0, train_loop=None, epoch=1, max_epochs=3)
        hook.before_train(runner)
        for step in range(2):
            hook.after_train_iter(runner, step, outputs=LOSS)
        hook.after_train(runner)
        assert "epoch 2/3" in capsys.readouterr().err

    @pytest.mark.parametrize("mode", ["val", "test"])
    def test_counts_batches(self, mode):
        hook = ProgressBarHook()
        runner = SimpleNamespace(**{f"{mode}_dataloader": range(3)})
        getattr(hook, f"before_{mode}_epoch")(runner)
        bar = hook._bars[mode]
        assert bar.total == 3
        for step in range(3):
            getattr(hook, f"after_{mode}_iter")(runner, step)
        assert bar.n == 3
        getattr(hook, f"after_{mode}_epoch")(runner)
        assert not hook._bars

    def test_other_processes_stay_silent(self, monkeypatch, capsys):
        monkeypatch.setattr("htcl.engine.hooks.progress_bar.is_main_process", lambda: False)
        hook = ProgressBarHook()
        hook.before_train(self.runner())
        hook.after_train_iter(self.runner(), 0, outputs=LOSS)
        hook.after_train(self.runner())
        assert capsys.readouterr().err == ""


class TestPredictionWriter:
    def test_official_file(self, tmp_path):
        hook = PredictionWriterHook(str(tmp_path))
        sample = make_sample((256, 256, 32))
        sample.pred_voxels.semantics[0, 0] = torch.arange(32, dtype=torch.uint8) % 20
        hook.after_test_iter(make_runner(), 0, outputs=[sample])
        path = tmp_path / "sequences" / "08" / "predictions" / "000005.label"
        assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]
        assert path.stat().st_size == 4_194_304
        raw = np.fromfile(path, dtype="<u2").reshape(256, 256, 32)
        # Empty, car, bicycle, motorcycle, truck, other-vehicle ... traffic-sign.
        assert raw[0, 0, :6].tolist() == [0, 10, 11, 15, 18, 20]
        assert raw[0, 0, 19] == 81
        assert (raw[1:] == 10).all()

    def test_every_sample_of_the_batch(self, tmp_path):
        hook = PredictionWriterHook(str(tmp_path))
        hook.after_test_iter(make_runner(), 0, outputs=[make_sample(), make_sample(frame="000010")])
        names = sorted(path.name for path in tmp_path.rglob("*.label"))
        assert names == ["000005.label", "000010.label"]
        assert {path.stat().st_size for path in tmp_path.rglob("*.label")} == {2 * 4 * 4 * 2}

    def test_says_where(self, tmp_path):
        lines = []
        runner = make_runner(logger=SimpleNamespace(info=lines.append))
        PredictionWriterHook(str(tmp_path)).after_test_epoch(runner)
        assert str(tmp_path) in lines[0]


class TestPredictionPicture:
    def test_adds_a_picture_and_trains_on(self):
        runner = make_runner()
        runner.model.train()
        PredictionPictureHook(interval=10, frames=(0, 1)).after_train_iter(runner, 9)
        assert runner.model.modes == [False]
        assert runner.model.training
        ((name, step),) = runner.pictures
        assert (name, step) == ("prediction_08_000005", 10)
        picture = runner.pictures[name, step]
        assert picture.dtype == np.uint8
        assert picture.ndim == 3

    @pytest.mark.parametrize("interval", [0, 3])
    def test_waits_for_its_interval(self, interval):
        runner = make_runner()
        PredictionPictureHook(interval=interval).after_train_iter(runner, 9)
        assert not runner.pictures

    def test_no_validation_set(self):
        runner = make_runner(val_loop=None)
        PredictionPictureHook(interval=10).after_train_iter(runner, 9)
        assert not runner.pictures


class TestStepSeed:
    @staticmethod
    def draw(seed, step):
        StepSeedHook().before_train_iter(SimpleNamespace(seed=seed, iter=step), step)
        return torch.rand(4)

    def test_depends_on_seed_and_step_alone(self):
        first = self.draw(0, 7)
        torch.rand(100)
        assert torch.equal(first, self.draw(0, 7))
        assert not torch.equal(first, self.draw(0, 8))
        assert not torch.equal(first, self.draw(1, 7))

    def test_differs_between_processes(self, monkeypatch):
        draws = []
        for rank in (0, 1):
            monkeypatch.setattr(
                "htcl.engine.hooks.step_seed.get_dist_info", lambda rank=rank: (rank, 2)
            )
            draws.append(self.draw(0, 7))
        assert not torch.equal(*draws)


def test_losses_become_numbers():
    outputs = {"loss": torch.tensor(1.25, requires_grad=True), "half": torch.tensor(0.5).half()}
    outputs["known"] = 3.0
    LossTransferHook().after_train_iter(None, 0, None, outputs)
    assert outputs == {"loss": 1.25, "half": 0.5, "known": 3.0}
    assert all(isinstance(value, float) for value in outputs.values())


def test_losses_are_transferred_before_mmengine_logs_them():
    """mmengine's own hook, which reads the losses one by one, has the second highest priority."""
    runtime_info = RuntimeInfoHook()
    order = [get_priority(hook.priority) for hook in (LossTransferHook(), runtime_info)]
    assert order == sorted(order) and order[0] < order[1]
