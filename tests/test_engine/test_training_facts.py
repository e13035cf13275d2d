"""Which cameras a training had, as its checkpoints say."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS

from htcl.datasets.calibration import KittiCalibration
from htcl.datasets.rig_range import joined, outside, road_height
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.engine.hooks import TrainingFactsHook
from htcl.shipped import shipped_config, shipped_name


@pytest.fixture
def batch(load_tiny_config):
    dataset = DATASETS.build(load_tiny_config().train_dataloader.dataset)
    return pseudo_collate([dataset[0], dataset[1]])


def runner_of(resume=False, filename=None):
    return SimpleNamespace(_resume=resume, cfg=SimpleNamespace(filename=filename))


def test_ranges_of_a_batch(batch, kitti_tree):
    """Network images are 64 pixels wide, original ones 124; frames are 5 m apart, and 0.5 m."""
    hook, checkpoint = TrainingFactsHook(), {"meta": {}}
    hook.after_train_iter(None, 0, batch)
    hook.before_save_checkpoint(runner_of(), checkpoint)
    calib = KittiCalibration.from_file(kitti_tree / "sequences/00/calib.txt")
    found = checkpoint["meta"]["rigs"]
    focal = calib.p2[0, 0]
    assert found["focal_length"] == pytest.approx([focal * 64 / 124] * 2, rel=1e-4)
    baseline = (calib.p2[0, 3] - calib.p3[0, 3]) / focal
    assert found["baseline"] == pytest.approx([baseline] * 2, rel=1e-3)
    assert found["frame_spacing"] == pytest.approx([math.hypot(5, 0.5)] * 2, rel=1e-3)
    # The road fills the lowest layer of voxels of 1.6 m, whose middle is at -1.2 m.
    height = calib.lidar_from_camera[2, 3] + 1.2
    assert found["camera_height"] == pytest.approx([height] * 2, abs=1e-3)


def test_a_resumed_training_knows_its_past(batch):
    past = {"meta": {"rigs": {"focal_length": [10.0, 20.0]}}}
    for resume, low in ((True, 10.0), (False, None)):
        hook, checkpoint = TrainingFactsHook(), {"meta": {}}
        hook.after_load_checkpoint(runner_of(resume), past)
        hook.after_train_iter(None, 0, batch)
        hook.before_save_checkpoint(runner_of(), checkpoint)
        least = checkpoint["meta"]["rigs"]["focal_length"][0]
        assert (least == low) if resume else (least > 20.0)


def test_batches_without_cameras_say_nothing():
    hook, checkpoint = TrainingFactsHook(), {"meta": {}}
    hook.after_train_iter(None, 0, {"inputs": torch.zeros(2)})
    hook.before_save_checkpoint(runner_of(), checkpoint)
    assert checkpoint["meta"]["rigs"] == {}


def test_road_height():
    labels = np.zeros((256, 256, 32), dtype=np.uint8)
    labels[:10, :, 1] = SEMANTICKITTI.class_names.index("road")
    labels[200:, :, 9] = SEMANTICKITTI.class_names.index("road")  # far away: a hill
    assert road_height(labels, SEMANTICKITTI) == pytest.approx(-2 + 1.5 * 0.2)
    assert math.isnan(road_height(np.zeros_like(labels), SEMANTICKITTI))


def test_outside_is_more_than_a_tenth_beyond():
    trained = {"baseline": [0.5, 0.6], "camera_height": [1.2, 1.8]}
    assert not outside({"baseline": [0.46, 0.65]}, trained)
    assert not outside({"focal_length": [9.0, 9.0]}, trained)  # nobody knows
    said = outside({"baseline": [0.2, 0.2], "camera_height": [1.5, 2.4]}, trained)
    assert said == {
        "baseline": "stereo baseline 0.2 m (trained with 0.5 to 0.6)",
        "camera_height": "camera height above the road 2.4 m (trained with 1.2 to 1.8)",
    }
    assert joined(trained, {"baseline": [0.2, 0.55]})["baseline"] == [0.2, 0.6]


def test_only_shipped_configs_have_a_name(repo_root, tmp_path, monkeypatch):
    name = "projects/configs/occupancy/mini/htcl_plus.py"
    assert shipped_name(repo_root / name) == name
    assert shipped_config(name) == repo_root / name
    stranger = tmp_path / name
    stranger.parent.mkdir(parents=True)
    stranger.write_text("raise SystemExit('foreign code')")
    monkeypatch.chdir(tmp_path)
    assert shipped_name(stranger) is None
    # Not the file of that path in the current folder, nor any other.
    assert shipped_config(name) == repo_root / name
    foreign = ("projects/configs/occupancy/../../../setup.py", str(stranger), "setup.py", 7, None)
    assert [shipped_config(entry) for entry in foreign] == [None] * 5
