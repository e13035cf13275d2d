"""The ablation study's bookkeeping, and that each of its rows is a network that can be built."""

from __future__ import annotations

import importlib
import json
from argparse import Namespace

import numpy as np
import pytest
from mmengine.registry import MODELS, init_default_scope

from htcl.config import load_config
from htcl.evaluation.paired import FrameScores

ROWS = (
    "mono",
    "stereo",
    "released",
    "right",
    "left_released",
    "left_right",
    "no_affinity",
    "one_dilation",
    "shared_learner",
    "no_deformable",
    "history_1",
    "history_2",
    "correlation",
    "no_correction",
    "plus",
    "still",
    "points",
    "points_trust",
    "points_alone",
    "points_spread",
    "points_mean",
    "points_far",
    "points_dense",
    "points_1",
    "points_2",
    "points_4",
    "points_wide",
    "points_8",
    "boundary",
)


@pytest.fixture
def ablation(repo_root, monkeypatch):
    monkeypatch.syspath_prepend(str(repo_root / "benchmarks"))
    return importlib.import_module("ablation")


@pytest.fixture
def metrics(ablation):
    """Keys of the scores of a run."""
    return importlib.import_module("ablation_rows").METRICS


def test_all_rows_are_here(ablation):
    assert tuple(ablation.ROWS) == ROWS


def _config(ablation, repo_root, name):
    row = ablation.ROWS[name]
    return load_config(repo_root / row.config, row.options)


@pytest.mark.parametrize("name", ROWS)
def test_row_builds(ablation, repo_root, name):
    cfg = _config(ablation, repo_root, name)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    frames = cfg.train_dataloader.dataset.num_history
    assert model.num_history == frames
    if name.startswith("points"):
        count = int(name[-1]) if name[-1].isdecimal() else 3
        assert model.point_history.num_history == count
        assert (model.temporal is None) == (name == "points_alone")
    else:
        assert (model.temporal is None) == (frames == 0)
    if model.temporal is not None:
        assert model.temporal.num_history == min(frames, 3)
        assert cfg.test_dataloader.dataset.num_history == frames


def test_released_row_is_released_in_the_temporal_branch_alone(ablation, repo_root):
    """What temporal_baseline.py says of the history, all else as in the right row."""
    released, right = (_config(ablation, repo_root, name) for name in ("released", "right"))
    baseline = load_config(
        (repo_root / ablation.ROWS["right"].config).with_name("temporal_baseline.py")
    )
    changed = {"pose", "intrinsics", "sweep_range", "behind"}
    # But for the pose net, which is trained here.
    assert released.model.temporal.pose.pop("trainable") is True
    assert baseline.model.temporal.pose.pop("trainable") is False
    # The command line has lists where the config has tuples.
    released.model.temporal.sweep_range = tuple(released.model.temporal.sweep_range)
    for key in changed:
        assert released.model.temporal[key] == baseline.model.temporal[key]
    assert released.history_images == baseline.history_images == "released"
    parts = [cfg.model.to_dict() for cfg in (released, right)]
    temporal = [part.pop("temporal") for part in parts]
    assert parts[0] == parts[1]
    kept = [{key: value for key, value in part.items() if key not in changed} for part in temporal]
    assert kept[0] == kept[1]


def _runs(metrics, *values):
    return {seed: dict.fromkeys(metrics, value) for seed, value in enumerate(values)}


def test_table_has_mean_and_spread(ablation, metrics):
    scores = {"mono": _runs(metrics, 20.0, 22.0, 24.0), "correlation": _runs(metrics, 5.0)}
    lines = ablation.table(scores).splitlines()
    both = " 22.00 ± 2.00 / 22.00 ± 2.00 |"
    assert lines[-2] == "| one image | 3 |" + both * 5 + " 22.00 ± 2.00 |"
    assert lines[-1].endswith(" | 1 |" + " 5.00 / 5.00 |" * 5 + " 5.00 |")


def test_differences_are_of_the_same_seeds(ablation, metrics):
    """Seeds differ by 10, the row by 1 and 2 more than the other in two seeds of three."""
    mono, stereo = _runs(metrics, 20.0, 30.0, 40.0), _runs(metrics, 21.0, 32.0)
    lines = ablation.seed_table({"mono": mono, "stereo": stereo}, "mono", mono).splitlines()
    assert lines[0].startswith("| against one image, seed by seed | seeds | whole |")
    both = " +1.50 ± 0.71 / +1.50 ± 0.71 |"
    assert lines[2:] == ["| stereo, no history | 2 |" + both * 5 + " +1.50 ± 0.71 |"]


@pytest.fixture
def recorded(ablation, monkeypatch):
    """Commands that would run, and how each of them would end."""
    commands, statuses = [], []

    def run(command, **_):
        commands.append(command[1:])
        return Namespace(returncode=statuses.pop(0) if statuses else 0)

    monkeypatch.setattr(importlib.import_module("logged_tool").subprocess, "run", run)
    return commands, statuses


def _args(folder, **changes):
    settings = {"work_dir": folder, "steps": (5, 3), "threads": 1, "rows": ["mono"]}
    return Namespace(
        batch_size=1,
        amp=False,
        lr=None,
        data=None,
        train_sequences=(),
        val_sequences=(),
        **{**settings, "seeds": [0, 1], **changes},
    )


def test_finished_runs_are_kept(ablation, metrics, tmp_path, recorded):
    args = _args(tmp_path)
    folder = ablation.stage_folder(args, 2) / "mono" / "seed_0"
    folder.mkdir(parents=True)
    scores = {key: 1.0 for key in metrics if key != "depth"}
    (folder / "scores.json").write_text(json.dumps(scores))
    # Without the depth errors, which come last, a run is not finished.
    assert not ablation.collect(args, args.rows)
    (folder / "depth.json").write_text(json.dumps({"mono": 2.0, "fused": 1.0}))
    for name in ("iter_3.pth", "frames.npz"):
        (folder / name).touch()
    assert ablation.run_one("mono", 0, args) == ""
    assert not recorded[0]
    # Scores by frame that are not there yet are made without another training.
    (folder / "frames.npz").unlink()
    assert ablation.run_one("mono", 0, args) == ""
    assert [command[0] for command in recorded[0]] == ["tools/test.py"]
    assert ablation.collect(args, args.rows) == {"mono": _runs(metrics, 1.0)}


def test_rows_are_compared_frame_by_frame(ablation, tmp_path):
    """Of 100 road voxels in each of two frames 50 are right, with history 60: a gain of 10."""
    args = _args(tmp_path, rows=["mono", "stereo"], against="mono")
    for name, hits in (("mono", 50), ("stereo", 60)):
        for seed in args.seeds:
            matrix = np.array([[0, 100 - hits], [0, hits]], dtype=np.int64)
            regions = 4
            confusions = np.broadcast_to(matrix, (2, regions, 2, 2))
            names = ("08/000000", "08/000005"), ("full", "in_view", "out_of_view", "12.8m")
            scores = FrameScores(*names, confusions, ("empty", "road"), 0, "zero")
            scores.write(ablation.stage_folder(args, 2) / name / f"seed_{seed}" / "frames.npz")
    lines = ablation.paired_table(
        ablation.stage_folder(args, 2), args.rows, args.against, args.seeds
    ).splitlines()
    assert len(lines) == 3
    cell = " +10.00 (+10.00 to +10.00) |"
    assert lines[2] == "| stereo, no history | 2 |" + cell * 2 * 4


def test_failures_are_named(ablation, tmp_path, recorded):
    recorded[1].append(1)
    problem = ablation.run_one("mono", 1, _args(tmp_path))
    assert "tools/train.py failed" in problem
    assert "mono/seed_1" in problem
    assert len(recorded[0]) == 1


def test_rows_start_from_the_first_stage(ablation, tmp_path, recorded):
    args = _args(tmp_path)
    assert ablation.run_start("stereo", args) == ""
    assert ablation.run_one("right", 2, args) == ""
    first, second, test, depth = recorded[0]
    assert "--load-from" not in first and "model.temporal=None" in first
    start = ablation.final_checkpoint(args, "stereo")
    assert second[second.index("--load-from") + 1] == str(start)
    # One weight for all occupied classes at first, those of `make train-mini` then, in rows too
    # whose config has others.
    assert "class_weights=" + ",".join("1" + "3" * 19) in first
    assert ablation.run_one("points", 0, args) == ""
    points = recorded[0][4]
    for command in (second, points):
        (weights,) = [option for option in command if option.startswith("class_weights=")]
        assert weights.startswith("class_weights=1.0,4.0,5.0,")
    for command, steps in ((first, 5), (second, 3)):
        # What was interrupted goes on, whatever it started from.
        assert "--resume" in command
        assert f"max_iters={steps}" in command
    assert second[second.index("--seed") + 1] == "2"
    assert test[0] == "tools/test.py"
    assert depth[0] == "benchmarks/depth_error.py"


def test_scores_are_of_the_network_that_was_trained(ablation, tmp_path, recorded):
    assert ablation.run_one("no_affinity", 0, _args(tmp_path)) == ""
    train, test, depth = recorded[0]
    for command in (train, test, depth):
        options = command[command.index("--cfg-options") + 1 :]
        assert "model.temporal.affinity=None" in options
    assert (
        test[2]
        == depth[2]
        == str(ablation.stage_folder(_args(tmp_path), 2) / "no_affinity/seed_0/iter_3.pth")
    )


def test_all_rows_have_the_same_streets(ablation, tmp_path, recorded):
    """Also those whose config has other ones."""
    for name in ("right", "points"):
        assert ablation.run_one(name, 0, _args(tmp_path)) == ""
    chosen = [
        tuple(option for option in command if option.startswith("val_sequences="))
        for command in recorded[0]
    ]
    assert set(chosen) == {("val_sequences=08,09,155,156",)}


def test_first_stage_is_that_of_the_shipped_checkpoint(ablation, repo_root):
    assert ablation.FIRST_STAGE[0] in (repo_root / "Makefile").read_text()


def test_without_steps_the_start_is_scored(ablation, tmp_path, recorded):
    commands, _ = recorded
    args = _args(tmp_path, steps=(0, 0))
    assert ablation.run_one("points", 0, args) == ""
    assert [command[0] for command in commands] == ["tools/test.py", "benchmarks/depth_error.py"]
    assert all(str(ablation.SHIPPED_CHECKPOINT) in command for command in commands)


def test_runs_of_other_settings_are_not_mixed(ablation, tmp_path, capsys):
    command = ["--work-dir", str(tmp_path), "--rows", "mono", "--report"]
    ablation.main([*command, "--lr", "0.001"])
    capsys.readouterr()
    assert ablation.main([*command, "--lr", "0.002"]) == 1
    error = capsys.readouterr().err
    assert "'lr': 0.001" in error and "'lr': 0.002" in error and "another --work-dir" in error
