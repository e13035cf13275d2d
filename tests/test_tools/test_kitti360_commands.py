"""Every command on SSCBench-KITTI-360, on a tiny street in its layout: train, test, look, score."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htcl.datasets.kitti360_specification import KITTI360
from htcl.visualization import FrameResult
from mini_kitti import MiniKittiSettings, make_mini_kitti

CONFIG = """
_base_ = ["{base}"]
data_root = "{data}"
train_sequences = val_sequences = test_sequences = ("09",)
input_size = (64, 160)
num_workers = 0
batch_size = 1
model = {{
    "stereo": {{"input_size": (48, 120), "max_disparity": 24}},
    "view_transformer": {{"voxel_size": 1.6}},
}}
train_cfg = {{"max_iters": 2, "val_begin": 100}}
default_hooks = {{"logger": {{"interval": 1}}, "checkpoint": {{"interval": 2}}}}
custom_hooks = [{{"type": "ProgressBarHook"}}]
"""


@pytest.fixture(scope="module")
def street(tmp_path_factory) -> Path:
    """Data root of one drive of three frames, two of them with voxels."""
    folder = tmp_path_factory.mktemp("mini360")
    settings = MiniKittiSettings(
        layout="kitti360",
        frames=3,
        image_size=(60, 224),
        lidar_azimuths=120,
        label_every=2,
        traffic=0,
    )
    assert make_mini_kitti(folder, settings, ["09"]) == ["09"]
    return folder


@pytest.fixture(scope="module")
def config(street, repo_root, tmp_path_factory) -> str:
    base = repo_root / "projects/configs/occupancy/mini/kitti360.py"
    path = tmp_path_factory.mktemp("config") / "tiny_kitti360.py"
    path.write_text(CONFIG.format(base=base, data=street))
    return str(path)


@pytest.fixture(scope="module")
def work(config, run_tool, tmp_path_factory) -> Path:
    """Folder of a training of two steps, its test, predictions and results."""
    folder = tmp_path_factory.mktemp("work")
    assert run_tool("train.py", config, "--work-dir", folder) == 0
    checkpoint = folder / "iter_2.pth"
    status = run_tool(
        "test.py", config, checkpoint, "--work-dir", folder / "test",
        "--out", folder / "predictions", "--json", folder / "scores.json",
    )  # fmt: skip
    assert status == 0
    where = ("--work-dir", folder / "save", "--out", folder / "results")
    assert run_tool("save_vis.py", config, checkpoint, *where) == 0
    return folder


def test_training_uses_all_losses(work):
    (log,) = work.glob("2*/vis_data/scalars.json")
    first = json.loads(log.read_text().splitlines()[0])
    losses = {name: value for name, value in first.items() if name.startswith("loss_")}
    assert {"loss_voxel_ce", "loss_depth", "loss_point_ce", "loss_point_lovasz"} <= set(losses)
    assert all(np.isfinite(list(losses.values())))


def test_table_has_the_classes_of_the_benchmark(work):
    (log,) = work.glob("test/*/*.log")
    text = log.read_text()
    assert "Semantic scene completion, 2 samples, per cent\n" in text
    assert "other-structure" in text and "trunk" not in text
    scores = json.loads((work / "scores.json").read_text())
    assert {f"IoU_{name}" for name in KITTI360.class_names[1:]} <= set(scores)


def test_saved_predictions_have_the_same_scores(work, street, run_tool):
    """Files of raw ids, scored against the official files by the benchmark's rules."""
    folder = work / "predictions/sequences/09/predictions"
    assert {path.name for path in folder.iterdir()} == {"000000.label", "000002.label"}
    assert np.isin(np.fromfile(folder / "000000.label", "<u2"), KITTI360.raw_ids).all()
    out = work / "evaluated.json"
    status = run_tool(
        "evaluate_predictions.py", street, work / "predictions", "--json", out,
        "--benchmark", "SSCBench-KITTI-360", "--split", "test",
    )  # fmt: skip
    assert status == 0
    found = json.loads(out.read_text())
    assert found["frames"] == ["09/000000", "09/000002"]
    scores = json.loads((work / "scores.json").read_text())
    for name in ("IoU", "mIoU", "IoU_road", "12.8m/IoU"):
        assert found["percent"][name] == pytest.approx(scores[name], abs=1e-9)


def test_pictures_page_and_meshes(work, run_tool):
    results = work / "results"
    result = FrameResult.load(results / "09/000000.npz")
    assert result.class_names == KITTI360.class_names
    assert result.history.shape[0] == 3 and result.ground_truth is not None
    common = ("visualization.py", results, "--out", work / "drawn", "--max-frames", 1)
    assert run_tool(*common, "--error", "--depth", "--row-height", 100) == 0
    with Image.open(work / "drawn/09/000000.png") as picture:
        assert picture.width > 300
    assert run_tool(*common, "--html") == 0
    page = (work / "drawn/viewer.html").read_text()
    assert '"other-object"' in page and '"trunk"' not in page
    assert run_tool(*common, "--mesh", "classes") == 0
    assert list((work / "drawn/09").rglob("*.ply"))


def test_samples_can_be_looked_at(config, run_tool, tmp_path):
    for split in ("train", "test"):
        arguments = ("--split", split, "--out", tmp_path / split, "--max-frames", 1)
        assert run_tool("browse_dataset.py", config, *arguments) == 0
        assert (tmp_path / split / "09/000000.png").is_file()


def test_there_is_nothing_to_submit(config, work, run_tool, tmp_path, capsys):
    out = tmp_path / "submission.zip"
    assert run_tool("make_submission.py", config, work / "iter_2.pth", "--out", out) == 1
    assert "SSCBench-KITTI-360 has no server" in capsys.readouterr().err
