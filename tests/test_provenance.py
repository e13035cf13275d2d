"""Every score says where it comes from."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import asdict

import pytest
import torch
from mmengine.config import Config
from torch import nn

from htcl import provenance
from htcl.checkpoint.fit import say_other_data
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.specification import build_specification


def test_equal_configs_have_equal_hashes():
    one = provenance.config_facts(Config({"a": 1, "b": {"c": [1, 2]}}))
    same = provenance.config_facts(Config({"b": {"c": [1, 2]}, "a": 1}))
    other = provenance.config_facts(Config({"a": 1, "b": {"c": [1, 3]}}))
    assert one["sha256"] == same["sha256"] != other["sha256"]


def test_hash_of_the_weights(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"abc")
    assert provenance.weights_facts(path)["sha256"] == hashlib.sha256(b"abc").hexdigest()


def test_a_folder_that_no_repository_tracks_has_no_revision(tmp_path):
    assert provenance.revision_of(tmp_path) == "unknown revision"
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "package").mkdir()
    assert provenance.revision_of(tmp_path / "package") == "unknown revision"


def test_scores_never_stand_alone(tmp_path, monkeypatch):
    beside = provenance.write_scores(tmp_path / "s.json", {"IoU": 1.5}, {"seed": 3})
    assert beside == tmp_path / "s.provenance.json"
    assert json.loads((tmp_path / "s.json").read_text()) == {"IoU": 1.5}
    assert json.loads(beside.read_text()) == {"seed": 3}


@pytest.fixture
def messages(monkeypatch):
    found = []
    monkeypatch.setattr("htcl.checkpoint.fit.print_log", lambda text, **_: found.append(text))
    return found


class _Network(nn.Module):
    specification = SEMANTICKITTI


@pytest.mark.parametrize(
    ("trained_for", "said"),
    (
        (SEMANTICKITTI, ""),
        (build_specification({"base": "SemanticKITTI", "grid": {"voxel_size": 0.4}}), "grid: "),
        (
            build_specification(
                {
                    "base": "SemanticKITTI",
                    "class_names": (*SEMANTICKITTI.class_names[:-1], "billboard"),
                }
            ),
            "billboard",
        ),
    ),
)
def test_weights_for_other_data_are_named(trained_for, said, tmp_path, messages):
    # As a checkpoint file gives it back.
    torch.save({"meta": {"dataset_meta": {"specification": asdict(trained_for)}}}, tmp_path / "c")
    content = torch.load(tmp_path / "c", weights_only=True)
    say_other_data(content, _Network(), "c")
    assert len(messages) == bool(said)
    assert all("trained for other data" in words and said in words for words in messages)


def test_a_file_that_does_not_know_says_nothing(messages):
    say_other_data({"state_dict": {}}, _Network(), "c")
    say_other_data({"meta": {"dataset_meta": {"specification": "no longer"}}}, _Network(), "c")
    assert messages == []
