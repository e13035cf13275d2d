"""tools/test.py on a checkpoint of a few training steps, in this process."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.evaluation import ssc_scores
from htcl.evaluation.paired import FrameScores


@pytest.fixture(scope="module")
def scored(run_tool, training_config, trained, tmp_path_factory):
    """Folder with predictions and metrics of a test run."""
    folder = tmp_path_factory.mktemp("scored")
    status = run_tool(
        "test.py", training_config, trained / "iter_4.pth", "--work-dir", folder / "work",
        "--out", folder / "predictions", "--json", folder / "deep" / "metrics.json",
        "--frames", folder / "frames.npz",
        # Whoever evaluates may have no training data.
        "--cfg-options", "train_sequences=77",
    )  # fmt: skip
    assert status == 0
    return folder


def test_table(scored):
    (log,) = scored.glob("work/*/*.log")
    text = log.read_text()
    assert "Semantic scene completion, 3 samples, per cent" in text
    for name in ("mIoU", "precision", "recall", "car", "traffic-sign", "12.8m", "51.2m"):
        assert name in text
    assert f"predictions saved below {scored / 'predictions'}" in text


def test_metrics_file(scored):
    metrics = json.loads((scored / "deep" / "metrics.json").read_text())
    assert {"IoU", "mIoU", "precision", "recall", "IoU_car", "25.6m/mIoU"} <= set(metrics)
    assert all(0 <= metrics[name] <= 100 for name in ("IoU", "mIoU", "precision", "recall"))


def test_where_the_scores_come_from(scored, trained):
    """The file beside the metrics, and the one of the run's own folder, say the same."""
    facts = json.loads((scored / "deep" / "metrics.provenance.json").read_text())
    weights = (trained / "iter_4.pth").read_bytes()
    assert facts["weights"]["sha256"] == hashlib.sha256(weights).hexdigest()
    assert facts["data"]["samples_by_sequence"] == {"08": 3}
    assert (facts["data"]["split"], facts["seed"], facts["processes"]) == ("val", 0, 1)
    assert facts["versions"]["torch"] == torch.__version__.partition("+")[0]
    (metric,) = facts["metrics"]
    assert metric["frames"] == 3
    assert metric["rules"] == "SemanticKITTI"
    assert len(metric["classes_in_mean"]) == 19
    assert 0 < metric["scored_voxels"]["full"] <= 3 * 32 * 32 * 4
    (own,) = scored.glob("work/*/scores/test.provenance.json")
    assert json.loads(own.read_text()) == facts
    # A training's validation has one too.
    (own,) = trained.glob("*/scores/val_4.provenance.json")
    assert json.loads(own.read_text())["weights"]["iteration"] == 4


def test_scores_by_frame(scored, run_tool, capsys):
    """Summed up they are the scores; a network is no better than itself."""
    metrics = json.loads((scored / "deep" / "metrics.json").read_text())
    frames = FrameScores.read(scored / "frames.npz")
    assert frames.frames == ("08/000000", "08/000005", "08/000010")
    for region, matrices in zip(frames.regions, frames.confusions.sum(axis=0), strict=True):
        prefix = "" if region == "full" else f"{region}/"
        assert 100 * ssc_scores(matrices).mean_iou == pytest.approx(metrics[f"{prefix}mIoU"])
    same = (scored / "frames.npz", scored / "frames.npz")
    assert run_tool("compare_scores.py", *same, "--draws", "20") == 0
    said = capsys.readouterr().out
    assert "+0.00 to +0.00" in said and "yes" not in said


def test_same_as_validation_of_the_training(scored, trained):
    """Test and validation are the same frames, and a checkpoint holds the validated weights."""
    metrics = json.loads((scored / "deep" / "metrics.json").read_text())
    (log,) = trained.glob("*/vis_data/scalars.json")
    last = json.loads(log.read_text().splitlines()[-1])
    assert last["step"] == 4
    assert {name: last[name] for name in metrics} == pytest.approx(metrics)


def test_label_files(scored):
    folder = scored / "predictions" / "sequences" / "08" / "predictions"
    assert sorted(path.name for path in folder.iterdir()) == [
        "000000.label",
        "000005.label",
        "000010.label",
    ]
    raw = np.fromfile(folder / "000005.label", dtype="<u2")
    assert raw.size == 32 * 32 * 4
    assert np.isin(raw, SEMANTICKITTI.raw_ids).all()


def test_missing_checkpoint(run_tool, tiny_config, capsys):
    assert run_tool("test.py", tiny_config, "no/such.pth") == 1
    assert "test: checkpoint 'no/such.pth' does not exist" in capsys.readouterr().err


def test_missing_config(run_tool, capsys):
    assert run_tool("test.py", "no/such.py", "no/such.pth") == 1
    assert "test: config 'no/such.py' does not exist" in capsys.readouterr().err


def test_checkpoint_of_another_config(run_tool, tiny_config, trained, tmp_path, capsys):
    status = run_tool(
        "test.py", tiny_config, trained / "iter_4.pth", "--work-dir", tmp_path,
        "--cfg-options", "model.temporal=None", "model.temporal_fusion=None",
    )  # fmt: skip
    assert status == 1
    said = capsys.readouterr().err
    assert "does not fit config" in said
    assert "temporal.matching" in said


def test_checkpoint_with_code_is_refused(run_tool, tiny_config, tmp_path, capsys):
    path = tmp_path / "foreign.pth"
    torch.save({"state_dict": {}, "extra": TestCode()}, path)
    assert run_tool("test.py", tiny_config, path, "--work-dir", tmp_path) == 1
    assert "is refused" in capsys.readouterr().err


class TestCode:
    """An object that is no tensor."""

    __test__ = False
