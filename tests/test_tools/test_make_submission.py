"""The command on a mini test split; the mini network has random weights."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import torch

from htcl.apis import load_model
from htcl.config import load_config
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.voxel_files import GRID_SIZE, write_voxel_labels
from htcl.errors import MissingFileError
from htcl.evaluation.submission import label_path


@pytest.fixture
def tool(load_tool):
    return load_tool("make_submission.py")


@pytest.fixture
def command(tmp_path, repo_root, kitti_tree):
    config = repo_root / "projects/configs/occupancy/mini/htcl_egopose.py"
    checkpoint = tmp_path / "weights.pth"
    checkpoint.write_bytes(b"weights")
    return [
        str(config), str(checkpoint), "--out", str(tmp_path / "out.zip"), "--sequences", "00", "08",
        "--device", "cpu", "--cfg-options", f"submission_dataloader.dataset.data_root={kitti_tree}",
        "submission_dataloader.num_workers=0",
    ]  # fmt: skip


def fake_predict(broken_after=None):
    """Writes constant predictions; stops with an error after some frames."""
    calls = []

    def predict(args, cfg, todo):
        for count, name in enumerate(sorted(todo)):
            if count == broken_after:
                raise MissingFileError("000005.png: image not found")
            calls.append(name)
            labels = np.full(GRID_SIZE, 40, dtype=np.uint16)
            write_voxel_labels(label_path(args.work_dir, *name), labels)

    return predict, calls


def test_resumes_packs_and_checks(tool, command, monkeypatch, tmp_path, capsys):
    predict, calls = fake_predict(broken_after=2)
    monkeypatch.setattr(tool, "predict", predict)
    assert tool.main(command) == 1
    assert "000005.png: image not found" in capsys.readouterr().err
    assert not (tmp_path / "out.zip").exists() and len(calls) == 2

    (tmp_path / "about.txt").write_text("random weights")
    predict, calls = fake_predict()
    monkeypatch.setattr(tool, "predict", predict)
    about = ["--description", str(tmp_path / "about.txt")]
    assert tool.main([*about, *command]) == 0
    assert calls == [("00", "000010"), *(("08", f"{n:06d}") for n in (0, 5, 10))]
    printed = capsys.readouterr().out
    assert "2 of 6 frames are predicted already" in printed
    assert "out.zip is sound: 6 frames" in printed and "the server wants 11-21" in printed
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        assert len(file.namelist()) == 1 + 2 * 2 + 6 + 1
        assert file.read("description.txt") == b"random weights"

    # All are there: nothing is predicted again.
    predict, calls = fake_predict()
    monkeypatch.setattr(tool, "predict", predict)
    assert tool.main(command) == 0 and calls == []


def test_predictions_of_other_weights_are_not_mixed(tool, command, monkeypatch, tmp_path, capsys):
    predict, calls = fake_predict(broken_after=1)
    monkeypatch.setattr(tool, "predict", predict)
    assert tool.main(command) == 1
    (tmp_path / "weights.pth").write_bytes(b"other weights")
    assert tool.main(command) == 1
    assert "holds predictions of another checkpoint" in capsys.readouterr().err
    predict, calls = fake_predict()
    monkeypatch.setattr(tool, "predict", predict)
    assert tool.main(["--restart", *command]) == 0 and len(calls) == 6
    assert tool.main([*command, "model.head.mid_channels=8"]) == 1
    assert "another config" in capsys.readouterr().err
    foreign = tmp_path / "holiday_pictures"
    foreign.mkdir()
    assert tool.main(["--restart", "--work-dir", str(foreign), *command]) == 1
    assert foreign.is_dir() and "is not deleted" in capsys.readouterr().err


def test_a_real_prediction(tool, command, tmp_path, capsys):
    cfg = load_config(command[0])
    torch.manual_seed(0)
    torch.save({"state_dict": load_model(cfg, None).state_dict()}, tmp_path / "weights.pth")
    command[command.index("00")] = "08"
    command.remove("08")
    assert tool.main(command) == 0
    assert "out.zip is sound: 3 frames" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        raw = np.frombuffer(file.read("sequences/08/predictions/000005.label"), "<u2")
    assert raw.shape == (256 * 256 * 32,) and np.isin(raw, SEMANTICKITTI.raw_ids).all()
    assert len(np.unique(raw)) > 1
    note = json.loads((tmp_path / "out_predictions/made_with.json").read_text())
    assert set(note) == {"config", "checkpoint"}


def test_check_alone(tool, tmp_path, capsys):
    assert tool.main(["--check", str(tmp_path / "none.zip")]) == 1
    assert "submission file not found" in capsys.readouterr().err
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as file:
        file.writestr("sequences/", "")
    assert tool.main(["--check", str(tmp_path / "empty.zip")]) == 1
    assert "missing folder entry sequences/11/" in capsys.readouterr().err


def test_misuse(tool, capsys):
    for arguments in ([], ["config.py"], ["config.py", "c.pth", "--out", "a.tar"]):
        with pytest.raises(SystemExit) as error:
            tool.parse_args(arguments)
        assert error.value.code == 2
    assert tool.main(["none.py", "none.pth"]) == 1
    assert "none.py" in capsys.readouterr().err
