"""Every command on OpenOccupancy and Occ3D, on tiny streets: train, test, look, score."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from mmengine.registry import DATASETS
from PIL import Image

from htcl.config import load_config
from htcl.datasets.image_files import image_size
from htcl.datasets.occ3d_nuscenes import Occ3DNuScenes
from htcl.datasets.occ3d_specification import OCC3D
from htcl.datasets.openoccupancy_specification import OPENOCCUPANCY
from htcl.errors import InvalidValueError
from htcl.models.ground_truth import stack_labels
from htcl.visualization import FrameResult

CONFIG = """
_base_ = ["{base}"]
data_root = "{data}"
input_size = (32, 64)
num_workers = 0
batch_size = 1
train_cfg = {{"max_iters": 2, "val_begin": 100}}
default_hooks = {{"logger": {{"interval": 1}}, "checkpoint": {{"interval": 2}}}}
custom_hooks = [{{"type": "ProgressBarHook"}}]
"""
# Where the intrinsics have the numbers of a rig file.
_PLACES = {"fx": (0, 0), "fy": (1, 1), "cx": (0, 2), "cy": (1, 2)}
BENCHMARKS = {"openoccupancy": OPENOCCUPANCY, "occ3d": OCC3D}


@pytest.fixture(scope="module", params=list(BENCHMARKS))
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def config(name, surround_streets, repo_root, tmp_path_factory) -> str:
    base = repo_root / f"projects/configs/occupancy/mini/{name}.py"
    path = tmp_path_factory.mktemp("config") / f"tiny_{name}.py"
    path.write_text(CONFIG.format(base=base, data=surround_streets))
    return str(path)


@pytest.fixture(scope="module")
def work(config, run_tool, tmp_path_factory) -> Path:
    """Folder of a training of two steps, its test and results."""
    folder = tmp_path_factory.mktemp("work")
    assert run_tool("train.py", config, "--work-dir", folder) == 0
    checkpoint = folder / "iter_2.pth"
    where = ("--work-dir", folder / "test", "--json", folder / "scores.json")
    assert run_tool("test.py", config, checkpoint, *where, "--out", folder / "labels") == 0
    where = ("--work-dir", folder / "save", "--out", folder / "results")
    assert run_tool("save_vis.py", config, checkpoint, *where) == 0
    return folder


def test_training_uses_all_losses(work):
    (log,) = work.glob("2*/vis_data/scalars.json")
    first = json.loads(log.read_text().splitlines()[0])
    losses = {name: value for name, value in first.items() if name.startswith("loss_")}
    assert {"loss_voxel_ce", "loss_depth", "loss_point_ce", "loss_point_lovasz"} <= set(losses)
    assert all(np.isfinite(list(losses.values())))


def test_saved_labels_are_the_prediction_in_the_ids_of_the_benchmark(name, work):
    saved = sorted((work / "labels/sequences/scene-0008/predictions").glob("*.label"))
    results = sorted((work / "results/scene-0008").glob("*.npz"))
    assert [path.stem for path in saved] == [path.stem for path in results] != []
    for label, path in zip(saved, results, strict=True):
        prediction = FrameResult.load(path).prediction
        raw = BENCHMARKS[name].raw_from_voxels(prediction)
        found = np.fromfile(label, np.uint16).reshape(prediction.shape)
        np.testing.assert_array_equal(found, raw)


def test_scores_follow_the_rules_of_the_benchmark(name, work, surround_streets):
    """The scores of the saved results, computed from the files in a few lines."""
    specification = BENCHMARKS[name]
    scores = json.loads((work / "scores.json").read_text())
    classes = [specification.class_names[k] for k in specification.counted_classes]
    confusion = np.zeros((specification.num_classes,) * 2, dtype=np.int64)
    for path in sorted((work / "results/scene-0008").glob("*.npz")):
        result = FrameResult.load(path)
        truth = result.ground_truth.astype(int)
        if name == "occ3d":
            labels = np.load(surround_streets / f"gts/scene-0008/{path.stem}/labels.npz")
            seen = labels["mask_camera"].reshape(100, 2, 100, 2, 8, 2).any(axis=(1, 3, 5))
            truth[~seen] = 255
        scored = truth != 255
        np.add.at(confusion, (truth[scored], result.prediction[scored].astype(int)), 1)
    matched = np.diag(confusion)
    total = confusion.sum(axis=0) + confusion.sum(axis=1) - matched
    for k, label in zip(specification.counted_classes, classes, strict=True):
        if confusion[k].sum():
            assert scores[f"IoU_{label}"] == pytest.approx(100 * matched[k] / total[k], abs=1e-6)
    counted = [
        100 * matched[k] / max(total[k], 1)
        for k in specification.counted_classes
        if name == "openoccupancy" or confusion[k].sum()
    ]
    assert scores["mIoU"] == pytest.approx(np.mean(counted), abs=1e-6)


def test_pictures_page_and_meshes(name, work, run_tool):
    results = work / "results"
    path = sorted((results / "scene-0008").glob("*.npz"))[0]
    result = FrameResult.load(path)
    assert result.class_names == BENCHMARKS[name].class_names
    assert result.images.shape == (6, 32, 64, 3) and result.history.shape[:2] == (1, 6)
    assert result.grid.front == BENCHMARKS[name].grid.front
    common = ("visualization.py", results, "--out", work / "drawn", "--max-frames", 1)
    assert run_tool(*common, "--error", "--depth", "--row-height", 100) == 0
    with Image.open(next((work / "drawn/scene-0008").glob("*.png"))) as picture:
        assert picture.width > 300
    assert run_tool(*common, "--html") == 0
    assert (work / "drawn/viewer.html").is_file()
    assert run_tool(*common, "--mesh", "classes") == 0
    assert list((work / "drawn/scene-0008").rglob("*.ply"))


def test_own_cameras(config, work, run_tool, capsys, tmp_path):
    """The first key frame, given as six image files and a rig, is predicted as from the tables."""
    dataset = DATASETS.build(load_config(config).test_dataloader.dataset)
    info = dataset.get_data_info(0)
    cameras = {}
    for camera in info["cameras"]:
        matrix = camera["intrinsics"]
        cameras[camera["name"]] = {
            "images": camera["image"],
            "image_size": list(image_size(camera["image"])),
            **{key: float(matrix[place]) for key, place in _PLACES.items()},
            "reference_from_camera": camera["reference_from_camera"][:3].tolist(),
        }
    rig = tmp_path / "rig.yml"
    rig.write_text(yaml.safe_dump({"cameras": cameras}, sort_keys=False))
    words = ("infer.py", config, work / "iter_2.pth", "--rig", rig, "--name", "mine")
    assert run_tool(*words, "--out", tmp_path / "out") == 0
    (path,) = (tmp_path / "out/mine").glob("*.npz")
    found = FrameResult.load(path)
    expected = FrameResult.load(work / f"results/{info['sequence']}/{info['frame']}.npz")
    assert np.array_equal(found.images, expected.images)
    assert np.array_equal(found.prediction, expected.prediction)
    with Image.open(path.with_suffix(".png")) as picture:
        assert picture.width > 300
    cameras["CAM_BACK"]["images"] = "none.png"
    rig.write_text(yaml.safe_dump({"cameras": cameras}))
    assert run_tool(*words, "--out", tmp_path / "out") == 1
    assert "none.png: no such image" in capsys.readouterr().err


def test_samples_can_be_looked_at(config, run_tool, tmp_path):
    assert run_tool("browse_dataset.py", config, "--out", tmp_path, "--max-frames", 1) == 0
    assert len(list(tmp_path.rglob("*.png"))) == 1


def test_files_can_be_checked(config, surround_streets, run_tool, tmp_path):
    arguments = ("--config", config, "--state", tmp_path / "state.jsonl", "--jobs", 1)
    assert run_tool("check_data.py", surround_streets, *arguments) == 0


def test_mask_decides_what_the_losses_see(surround_streets):
    """Labels outside of the camera mask are not looked at; without a mask all are."""
    steps = ("LoadImages", "LoadVoxelLabels", "PackInputs")
    pipeline = [{"type": step} for step in steps]
    pipeline[0]["input_size"] = (32, 64)
    sample = Occ3DNuScenes(str(surround_streets), num_history=0, pipeline=pipeline)[0]
    sample = sample["data_samples"]
    every, masked = (stack_labels([sample], mask, 255)[0] for mask in (None, "mask_camera"))
    seen = sample.gt_voxels.mask_camera
    assert (every == sample.gt_voxels.semantics).all() and (every != 255).all()
    assert (masked[seen] == every[seen]).all() and (masked[~seen] == 255).all()
    with pytest.raises(InvalidValueError, match=r"has no mask 'other'.*mask_camera"):
        stack_labels([sample], "other", 255)
