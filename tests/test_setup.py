"""tools/setup_env.sh in a copy of the repository, with stand-ins for what it calls."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# What the script itself uses, besides bash.
PROGRAMS = (
    "awk", "cat", "cut", "dirname", "grep", "sha256sum", "mkdir", "chmod", "sed", "cp",
)  # fmt: skip
FILES = (
    "tools/setup_env.sh",
    "requirements/lock.txt",
    "requirements/mmcv_operators_stand_in.py",
    "pyproject.toml",
    "setup.py",
)


class Machine:
    """A folder with the files of the set-up, and a PATH with a few programs."""

    def __init__(self, repo_root: Path, folder: Path) -> None:
        self.root, self.bin = folder / "htcl", folder / "bin"
        self.bin.mkdir()
        for name in FILES:
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(repo_root / name, target)
        for name in PROGRAMS:
            (self.bin / name).symlink_to(shutil.which(name))
        self.program("df", "echo Filesystem; echo x x x 99000000 x x")

    def program(self, name: str, text: str, folder: Path | None = None) -> None:
        path = (folder or self.bin) / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def python(self, name: str = "python3.11") -> None:
        """The real interpreter, under a name on PATH."""
        self.program(name, f'exec {sys._base_executable} "$@"')

    def run(self, *args: str, **variables: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [shutil.which("bash"), str(self.root / "tools" / "setup_env.sh"), *args],
            env={"PATH": str(self.bin), **variables},
            cwd="/", capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def fails(self, **variables: str) -> str:
        """The one line of a set-up that refuses."""
        done = self.run(**variables)
        assert done.returncode == 1, done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert not (self.root / ".venv").exists()
        return done.stderr


@pytest.fixture
def machine(repo_root, tmp_path):
    return Machine(repo_root, tmp_path)


def test_usage(machine):
    assert "usage: bash tools/setup_env.sh" in machine.run("--help").stdout
    wrong = machine.run("--fast")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("usage: ")


def test_no_python(machine):
    assert machine.fails().startswith("setup: Python 3.11 or 3.12 not found")


def test_wrong_python(machine):
    machine.program("python3", "exit 1")
    assert machine.fails().startswith("setup: Python 3.11 or 3.12 not found")
    machine.python()
    assert machine.fails(PYTHON="python3").startswith("setup: python3 is not a Python 3.11 or 3.12")


def test_no_venv_module(machine):
    start = 'case "$2" in *ensurepip*) exit 1;; esac'
    machine.program("python3.12", f'{start}\nexec {sys._base_executable} "$@"')
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"install python{version}-venv" in machine.fails()


@pytest.fixture
def with_headers():
    import sysconfig

    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("this Python has no headers")


def test_no_compiler(machine, with_headers):
    machine.python()
    assert machine.fails().startswith("setup: no C++ compiler (g++) found")
    assert "(clang++)" in machine.fails(CXX="clang++")


def test_no_space(machine, with_headers):
    machine.python()
    machine.program("g++", "exit 0")
    machine.program("df", "echo Filesystem; echo x x x 3145728 x x")
    assert machine.fails().startswith("setup: only 3 GB free here; the environment needs 12 GB")


def test_second_run_does_nothing(machine, with_headers):
    machine.python()
    machine.program("g++", "exit 0")
    tools = machine.root / ".venv" / "bin"
    tools.mkdir(parents=True)
    log = machine.root / "calls"
    machine.program("python", "exit 0", tools)
    machine.program("uv", f'echo "$@" >>{log}', tools)
    first = machine.run()
    assert first.returncode == 0, first.stderr
    assert "7 minutes on 2 cores" in first.stdout
    calls = log.read_text().splitlines()
    assert calls[0] == "pip sync --quiet --compile-bytecode requirements/lock.txt"
    assert calls[1].endswith("--no-deps --no-build-isolation --editable .")
    second = machine.run()
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert log.read_text().splitlines() == calls
    # New pins, new set-up.
    with (machine.root / "requirements" / "lock.txt").open("a") as file:
        file.write("# changed\n")
    machine.run()
    assert len(log.read_text().splitlines()) == 4


def test_without_a_compiler(machine):
    """mmcv comes as a wheel of Python alone, with a stand-in for what was not compiled."""
    machine.python()
    tools, site = machine.root / ".venv" / "bin", machine.root / "site"
    tools.mkdir(parents=True)
    (site / "mmcv").mkdir(parents=True)
    machine.program("python", f"echo {site}", tools)
    log = machine.root / "calls"
    machine.program("uv", f'echo "$@" >>{log}', tools)
    first = machine.run("--no-compiler")
    assert first.returncode == 0, first.stderr
    assert "nothing is compiled" in first.stdout
    lock = machine.root / ".venv/lock-no-compiler.txt"
    assert log.read_text().splitlines()[0].endswith(".venv/lock-no-compiler.txt")
    pins = (machine.root / "requirements/lock.txt").read_text().splitlines()
    changed = [(a, b) for a, b in zip(pins, lock.read_text().splitlines(), strict=True) if a != b]
    assert changed == [("mmcv==2.1.0", "mmcv-lite==2.1.0")]
    stand_in = site / "mmcv" / "_ext.py"
    names: dict = {"__name__": "mmcv._ext"}
    exec(stand_in.read_text(), names)
    with pytest.raises(RuntimeError, match="operator nms is not compiled here"):
        names["__getattr__"]("nms")(1)
    with pytest.raises(AttributeError):
        names["__getattr__"]("__path__")
    # A later `make test` neither asks for a compiler nor sets up anew.
    again = machine.run()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_failed_sync_is_repeated(machine, with_headers):
    machine.python()
    machine.program("g++", "exit 0")
    tools = machine.root / ".venv" / "bin"
    tools.mkdir(parents=True)
    machine.program("python", "exit 0", tools)
    machine.program("uv", "exit 1", tools)
    for _ in range(2):
        done = machine.run()
        assert done.returncode == 1
        assert "installing requirements/lock.txt failed" in done.stderr


def test_no_url_in_requirements(repo_root):
    files = [*repo_root.glob("requirements/*.txt"), *repo_root.glob("requirements/*.in")]
    assert len(files) >= 3
    for path in [*files, repo_root / "pyproject.toml"]:
        assert "://" not in path.read_text(), path.name


def test_lock_is_complete_and_pinned(repo_root):
    lines = (repo_root / "requirements" / "lock.txt").read_text().splitlines()
    packages = [line for line in lines if line and not line.startswith(("#", " "))]
    assert len(packages) > 50
    for line in packages:
        assert re.match(r"^[a-z0-9][a-z0-9._-]*==[^\s]+", line), line
    names = {line.split("==")[0] for line in packages}
    assert {"torch", "mmcv", "mmengine", "mmdet", "mmdet3d", "uv", "pytest", "ruff"} <= names


def test_entry_points_are_bash(repo_root):
    scripts = [*repo_root.glob("*.sh"), *repo_root.glob("tools/*.sh")]
    for script in scripts:
        assert os.access(script, os.R_OK)
        done = subprocess.run(["bash", "-n", str(script)], capture_output=True, check=False)
        assert done.returncode == 0, (script.name, done.stderr)
