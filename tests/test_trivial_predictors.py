"""The trivial predictors of benchmarks/trivial_predictors.py."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from htcl.datasets.specification import build_specification

ROOT = Path(__file__).resolve().parents[1]
GRID = {"origin": (0, -0.4, -2.0), "voxel_size": 0.2, "shape": (2, 2, 4)}
SPECIFICATION = build_specification({"base": "SemanticKITTI", "grid": GRID})


@pytest.fixture
def trivial(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("trivial_predictors")


def _label(value):
    return torch.full((2, 2, 4), value, dtype=torch.uint8)


def test_the_prior_is_what_most_labels_have(trivial):
    """Two of three labels say 9; where all ignore, it is empty; a tie goes to the first class."""
    labels = [_label(9), _label(9), _label(11)]
    for label in labels:
        label[0, 0, 0] = 255
    labels[0][1, 1, 1] = 255
    prior = trivial.class_prior(iter(labels), SPECIFICATION)
    assert prior[0, 0, 0] == 0
    assert prior[1, 1, 1] == 9
    assert (prior == 9).sum() == 15


def test_the_road_lies_under_the_wheels(trivial):
    """1.73 m below the lidar is in the layer from -1.8 to -1.6 m."""
    plane = trivial.road_plane(SPECIFICATION)
    assert (plane[:, :, 1] == 9).all()
    assert (plane != 0).sum() == 4


def test_all_three(trivial, monkeypatch):
    """Of two training labels; a benchmark without a class named road has no road plane."""
    monkeypatch.setattr(trivial, "scored_labels", lambda labels, _: iter(labels))
    labels = [_label(9), _label(9)]
    guesses = trivial.trivial_guesses(labels, SPECIFICATION)
    assert tuple(guesses) == ("all empty", "road plane", "class prior")
    assert (guesses["class prior"] == 9).all()
    names = ["free", *(f"class {index}" for index in range(1, 20))]
    other = replace(SPECIFICATION, class_names=names)
    assert tuple(trivial.trivial_guesses(labels, other)) == ("all empty", "class prior")


def test_scores(trivial):
    """A road layer of four voxels against labels that have three of them."""
    label = _label(0)
    label[:, :, 1] = 9
    label[0, 0, 1] = 0
    truth = SimpleNamespace(to_dict=lambda: {"gt_voxels": {"semantics": label}})
    guesses = {"road": trivial.road_plane(SPECIFICATION), "empty": _label(0)}
    scores = trivial.score_all(guesses, [{"data_samples": truth}], SPECIFICATION)
    assert scores["road"]["IoU"] == pytest.approx(75)
    assert scores["road"]["mIoU"] == pytest.approx(75 / 19)
    assert scores["empty"]["IoU"] == 0
    line = trivial.table(scores, ("IoU", "mIoU")).splitlines()[2]
    assert line.startswith("| road | 75.0 | 3.9 |")
