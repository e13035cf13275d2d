"""The command htcl, and the built package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from htcl.commands import main, usage
from htcl.shipped import MODELS, find_file


def test_usage_names_each_with_what_it_does(capsys):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.strip() == usage()
    assert "  train " in printed and "Evaluates a checkpoint" in printed


@pytest.mark.parametrize(("words", "status"), (([], 2), (["trian"], 2), (["--version"], 0)))
def test_misuse_and_version(words, status, capsys):
    assert main(words) == status
    printed = capsys.readouterr()
    assert words != ["trian"] or "no command 'trian'" in printed.err


def test_runs_the_tool(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["htcl"])
    config = "projects/configs/occupancy/mini/htcl_mono.py"
    assert main(["info", config, "--size", "64", "160"]) == 0
    assert "img_backbone" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["info", "--help"])
    assert "usage: htcl info" in capsys.readouterr().out


def test_shipped_files_from_anywhere(monkeypatch, tmp_path, repo_root):
    monkeypatch.chdir(tmp_path)
    for path in MODELS["mini"]:
        assert find_file(path) == repo_root / path
    Path("pretrain").mkdir()
    Path(MODELS["mini"][1]).touch()
    # One's own file comes first; what is nowhere keeps its name.
    assert find_file(MODELS["mini"][1]) == Path(MODELS["mini"][1])
    assert find_file("nothing.py") == Path("nothing.py")


@pytest.mark.slow
def test_the_wheel_has_all_that_it_needs(repo_root, tmp_path):
    """Built from the tracked files, unpacked, used from a foreign folder."""
    source, site = tmp_path / "source", tmp_path / "site"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=repo_root, capture_output=True, check=True
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((repo_root / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = [*pip, "wheel", str(source), "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run(build, check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(site)], check=True)
    code = (
        "import htcl; from htcl.commands import main; print(htcl.__file__); "
        "print(htcl.HTCLInferencer('mini', show_progress=False).model.num_history); main(['-h'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert str(site / "htcl") in lines[0] and "3" in lines and "make-submission" in done.stdout
