"""tools/publish_checkpoint.py on a checkpoint of a few training steps, in this process."""

from __future__ import annotations

import hashlib
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


def test_facts_of_the_training_go_along(published, trained):
    before = torch.load(trained / "iter_4.pth", weights_only=False)["meta"]
    after = torch.load(published, weights_only=True)["meta"]
    assert after["rigs"] == before["rigs"] and set(after["rigs"]) >= {"focal_length", "baseline"}
    assert after["git"] == before["git"]
    # A config of one's own has no name that anyone else could use.
    assert "config" not in after
    text = published.with_suffix(".md").read_text()
    assert f"| SHA-256 | `{hashlib.sha256(published.read_bytes()).hexdigest()}` |" in text
    low, high = after["rigs"]["baseline"]
    assert f"| stereo baseline | {low:.4g} to {high:.4g} m |" in text


def test_a_checkpoint_that_knows_no_cameras_has_them_measured(
    load_tool, training_config, trained, tmp_path
):
    from htcl.checkpoint.publishing import publish
    from htcl.config import load_config

    tool = load_tool("publish_checkpoint.py")
    state = torch.load(trained / "iter_4.pth", weights_only=False)
    old = tmp_path / "old.pth"
    torch.save({"state_dict": state["state_dict"]}, old)
    cfg = load_config(training_config)
    meta = publish(old, tmp_path / "new.pth", lambda: tool.training_rigs(cfg))
    assert meta["rigs"] == state["meta"]["rigs"]


def test_the_shipped_checkpoint_is_the_one_of_its_card(repo_root):
    path = repo_root / "pretrain/mini_htcl.pth"
    card = path.with_suffix(".md").read_text()
    assert path.stat().st_size < 10e6
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    meta = torch.load(path, weights_only=True)["meta"]
    assert f"| config | `{meta['config']}` |" in card
    assert set(meta["rigs"]) == {"focal_length", "baseline", "camera_height", "frame_spacing"}


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
