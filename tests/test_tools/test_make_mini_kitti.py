"""The command that makes the mini data set."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from mini_kitti import DEFAULT_SEQUENCES, MiniKittiSettings

TOOL = str(Path(__file__).parents[2] / "tools" / "make_mini_kitti.py")


def test_help_has_an_example_and_the_true_defaults() -> None:
    result = subprocess.run(
        [sys.executable, TOOL, "--help"], capture_output=True, text=True, check=True
    )
    text = " ".join(result.stdout.split())
    assert "--out data/mini" in text
    defaults = MiniKittiSettings()
    assert f"frames of a sequence (default: {defaults.frames})" in text
    assert "(default: {} {})".format(*defaults.image_size) in text
    assert f"columns of a lidar scan (default: {defaults.lidar_azimuths})" in text
    assert f"(default: {DEFAULT_SEQUENCES[0]} to {DEFAULT_SEQUENCES[-1]})" in text
    assert f"for every n-th frame, 1: for all (default: {defaults.label_every})" in text
    assert f"0 to 1 (default: {defaults.traffic})" in text
    assert f"with 08, 09, 11 (default: {len(DEFAULT_SEQUENCES) - 3})" in text
    assert f"other seeds, other streets (default: {defaults.seed})" in text


def test_makes_then_skips_then_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = runpy.run_path(TOOL)["main"]
    arguments = ["--out", str(tmp_path), "--sequences", "11", "--frames", "1", "--jobs", "1"]
    arguments += ["--image-size", "32", "104", "--lidar-azimuths", "32"]
    assert main(arguments) == 0
    first = capsys.readouterr()
    assert "1 sequences made, 0 were there already" in first.out
    assert "frame" in first.err
    assert main(arguments) == 0
    assert "0 sequences made, 1 were there already" in capsys.readouterr().out
    assert main([*arguments, "--seed", "1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "other settings" in error


def test_streets_add_to_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = runpy.run_path(TOOL)["main"]
    arguments = ["--out", str(tmp_path), "--frames", "1", "--jobs", "1", "--image-size", "16", "52"]
    arguments += ["--lidar-azimuths", "16", "--lean", "--traffic", "0"]
    assert main([*arguments, "--sequences", "00", "08", "09"]) == 0
    assert main([*arguments, "--streets", "1"]) == 0
    assert "1 sequences made, 3 were there already" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "sequences").iterdir()} == {"00", "08", "09", "11"}
    assert main([*arguments, "--streets", "0"]) == 2
    assert "streets must be at least 1, found 0" in capsys.readouterr().err
