"""tools/publish_checkpoint.py on a checkpoint of a few training steps, in this process."""

from __future__ import annotations

import json

import pytest
import torch


@pytest.fixture(scope="module")
def published(run_tool, training_config, trained, tmp_path_factory):
    target = tmp_path_factory.mktemp("published") / "tiny.pth"
    status = run_tool(
        "publish_checkpoint.py", training_config, trained / "iter_4.pth", target,
        "--command", "make tiny", "--intro", "A toy.",
    )  # fmt: skip
    assert status == 0
    return target


def test_half_the_size_of_the_weights(published, trained):
    whole = torch.load(trained / "iter_4.pth", weights_only=False)["state_dict"]
    small = torch.load(published, weights_only=True)["state_dict"]
    assert small.keys() == whole.keys()
    floats = [k for k, v in whole.items() if v.is_floating_point()]
    assert all(torch.equal(small[k], whole[k].half()) for k in floats)


def test_card_has_the_scores_of_the_published_file(published, run_tool, training_config, tmp_path):
    scores = tmp_path / "scores.json"
    arguments = ("--work-dir", tmp_path, "--json", scores)
    assert run_tool("test.py", training_config, published, *arguments) == 0
    metrics = json.loads(scores.read_text())
    text = published.with_suffix(".md").read_text()
    assert text.startswith("# tiny.pth\n\nA toy.\n")
    assert "| command | `make tiny` |" in text
    assert "| training | 4 steps of" in text
    assert f"| completion IoU | {metrics['IoU']:.2f} |" in text
    assert f"| IoU car | {metrics['IoU_car']:.2f} |" in text


def test_an_existing_file_is_kept(published, run_tool, training_config, trained, capsys):
    with pytest.raises(SystemExit) as error:
        run_tool("publish_checkpoint.py", training_config, trained / "iter_4.pth", published)
    assert error.value.code == 2
    assert "give --force" in capsys.readouterr().err


def test_nothing_is_left_behind_where_the_config_does_not_fit(
    run_tool, training_config, trained, tmp_path, capsys
):
    target = tmp_path / "out.pth"
    other = ("--cfg-options", "model.temporal=None", "model.temporal_fusion=None")
    arguments = (training_config, trained / "iter_4.pth", target, *other)
    assert run_tool("publish_checkpoint.py", *arguments) == 1
    assert "does not fit config" in capsys.readouterr().err
    assert not target.exists()


def test_training_data_is_not_scored(run_tool, training_config, trained, tmp_path, capsys):
    arguments = (training_config, trained / "iter_4.pth", tmp_path / "out.pth")
    same = ("--cfg-options", "test_dataloader.dataset.sequences=['00']")
    assert run_tool("publish_checkpoint.py", *arguments, *same) == 1
    assert "trains on and scores the sequences 00" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_card_alone_is_kept_too(run_tool, training_config, tmp_path, capsys):
    (tmp_path / "out.md").write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        run_tool("publish_checkpoint.py", training_config, "x.pth", tmp_path / "out.pth")
    assert "out.md exists" in capsys.readouterr().err


def test_missing_checkpoint(run_tool, training_config, tmp_path, capsys):
    arguments = (training_config, tmp_path / "no.pth", tmp_path / "out.pth")
    assert run_tool("publish_checkpoint.py", *arguments) == 1
    assert "no.pth" in capsys.readouterr().err
