"""The loop of tools/save_vis.py with a stand-in for the network; the real one runs in the demo."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.structures import BaseDataElement

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.geometry import Camera, VoxelGrid
from htcl.visualization import FrameResult
from htcl.visualization.result_folder import latest_folder

TOOL = Path(__file__).resolve().parents[2] / "tools" / "save_vis.py"
GRID = (4, 4, 2)
SPECIFICATION = replace(SEMANTICKITTI, grid=VoxelGrid((0.0, -0.4, -0.2), 0.2, GRID))


@pytest.fixture
def tool(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("save_vis_tool", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    return module


def make_sample(index: int) -> dict:
    sample = Det3DDataSample(
        metainfo={
            "sequence": "08",
            "frame": f"{5 * index:06d}",
            "specification": SPECIFICATION,
            "image_sizes": [(8, 16)],
        }
    )
    truth = torch.zeros(GRID, dtype=torch.uint8)
    truth[0, 0, 0] = 255
    sample.gt_voxels = BaseDataElement(semantics=truth)
    inputs = {
        "images": torch.full((1, 3, 8, 16), index, dtype=torch.uint8),
        "cameras": Camera(*(torch.eye(n)[None] for n in (4, 4, 3, 4)), size=(8, 16)),
    }
    return {"inputs": inputs, "data_samples": sample}


class Model:
    """Predicts class ``index + 1`` everywhere, from the image's value."""

    def eval(self):
        self.was_set_to_eval = True

    def test_step(self, batch):
        for image, sample in zip(batch["inputs"]["images"], batch["data_samples"], strict=True):
            labels = torch.full(GRID, int(image[0, 0, 0, 0]) + 1, dtype=torch.uint8)
            sample.pred_voxels = BaseDataElement(semantics=labels)
        return batch["data_samples"]


class Loader:
    """Five samples in batches of two, as mmengine's pseudo_collate gives them."""

    dataset = range(5)

    def __iter__(self):
        for start in range(0, 5, 2):
            samples = [make_sample(i) for i in range(start, min(start + 2, 5))]
            yield {
                "inputs": {k: [s["inputs"][k] for s in samples] for k in samples[0]["inputs"]},
                "data_samples": [s["data_samples"] for s in samples],
            }


@pytest.mark.parametrize(("limit", "expected"), [(None, 5), (3, 3), (99, 5)])
def test_one_file_a_frame(tool, tmp_path, limit, expected):
    model = Model()
    assert tool.save_results(model, Loader(), tmp_path / "out", limit) == expected
    assert model.was_set_to_eval
    files = sorted((tmp_path / "out" / "08").glob("*.npz"))
    assert [f.stem for f in files] == [f"{5 * i:06d}" for i in range(expected)]
    for i, file in enumerate(files):
        result = FrameResult.load(file)
        assert (result.prediction == i + 1).all()
        assert (result.images == i).all()
        np.testing.assert_array_equal(np.argwhere(result.ground_truth == 255), [[0, 0, 0]])


def test_command_marks_the_latest_folder(tool, monkeypatch, capsys):
    runner = SimpleNamespace(model=Model(), test_dataloader=Loader(), cfg=None)
    monkeypatch.setattr(tool, "prepare_runner", lambda args: runner)
    assert tool.main(["projects/some_config.py", "ckpt.pth", "--eval", "mAP"]) == 0
    folder = latest_folder()
    assert folder.parent.name == "some_config" and folder.parents[1].name == "vis"
    assert len(list(folder.glob("08/*.npz"))) == 5
    assert "5 result files in outputs/vis/some_config/" in capsys.readouterr().out


def test_errors_are_one_line(tool, tmp_path, capsys):
    assert tool.main(["none.py", "none.pth"]) == 1
    assert "none.py" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tool.main(["a.py", "b.pth", "--max-frames", "0"])
    assert "--max-frames" in capsys.readouterr().err


CONFIG = """
train_dataloader = dict(dataset=dict(sequences=("00", "01")))
val_dataloader = dict(dataset=dict(split="val", sequences=("08",), pipeline=["validation"]))
test_dataloader = val_dataloader
submission_dataloader = dict(dataset=dict(split="test", pipeline=["no labels"]))
"""


@pytest.mark.parametrize(
    ("options", "split", "sequences", "pipeline"),
    [
        ([], "val", ("08",), "validation"),
        (["--split", "val"], "val", ("08",), "validation"),
        (["--split", "train"], "train", ("00", "01"), "validation"),
        (["--split", "test"], "test", None, "no labels"),
    ],
)
def test_split_chooses_the_loader(tool, tmp_path, monkeypatch, options, split, sequences, pipeline):
    config = tmp_path / "config.py"
    config.write_text(CONFIG)
    monkeypatch.setattr("htcl.engine.runner.build_runner", lambda cfg, **kwargs: cfg)
    cfg = tool.prepare_runner(tool.parse_args([str(config), "ckpt.pth", *options]))
    dataset = cfg.test_dataloader.dataset
    assert (dataset.split, dataset.get("sequences")) == (split, sequences)
    assert dataset.pipeline == [pipeline]


def test_a_config_without_the_loader(tool, tmp_path, capsys):
    config = tmp_path / "config.py"
    config.write_text("test_dataloader = dict(dataset=dict())\n")
    assert tool.main([str(config), "none.pth", "--split", "test"]) == 1
    assert "has no submission_dataloader" in capsys.readouterr().err
