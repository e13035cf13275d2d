from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="module")
def tool(load_tool) -> ModuleType:
    return load_tool("data_converter/make_labels.py")


@pytest.fixture(autouse=True)
def _no_root_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SEMANTICKITTI_ROOT", raising=False)


@pytest.fixture
def run(tool: ModuleType, capfd: pytest.CaptureFixture):
    """Runs the tool and returns (exit status, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            status = tool.main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            status = exit_.code
        return status, *capfd.readouterr()

    return call


def test_labels_of_all_scales_and_a_second_run(run, kitti_tree: Path, tmp_path: Path):
    arguments = ("--data-root", kitti_tree, "--out", tmp_path, "--jobs", 2)
    arguments += ("--scales", "1_1", "1_2", "1_8")
    status, out, err = run(*arguments)
    assert status == 0, err
    assert "18 files written, 0 were finished, 0 frames failed" in out
    labels = np.load(tmp_path / "08/000005_1_1.npy")
    assert labels.shape == (256, 256, 32) and labels.dtype == np.uint8
    # Invalid; road; lane marking is road; car; other structure is not scored; empty.
    assert [labels[0, 0, 1], labels[0, 90, 1], labels[0, 100, 1]] == [255, 9, 9]
    assert [labels[60, 140, 5], labels[0, 205, 1], labels[200, 200, 20]] == [1, 255, 0]
    assert np.load(tmp_path / "08/000005_1_2.npy").shape == (128, 128, 16)
    assert np.load(tmp_path / "08/000005_1_8.npy").shape == (32, 32, 4)
    stamp = (tmp_path / "08/000005_1_1.npy").stat().st_mtime_ns
    (tmp_path / "00/000000_1_2.npy").unlink()
    status, out, _ = run(*arguments)
    assert status == 0
    assert "1 files written, 17 were finished" in out
    assert (tmp_path / "08/000005_1_1.npy").stat().st_mtime_ns == stamp


def test_bad_frames_are_listed_and_the_others_made(run, writable_kitti_tree: Path, tmp_path: Path):
    voxels = writable_kitti_tree / "sequences/00/voxels"
    (voxels / "000000.label").write_bytes(b"short")
    raw = np.fromfile(voxels / "000005.label", dtype=np.uint16)
    raw[7] = 34
    raw.tofile(voxels / "000005.label")
    (voxels / "000010.invalid").unlink()
    arguments = ("--data-root", writable_kitti_tree, "--out", tmp_path / "out", "--jobs", 1)
    status, out, err = run(*arguments)
    assert status == 1
    assert "3 files written, 0 were finished, 3 frames failed" in out
    assert "000000.label" in err and "5 bytes, expected 4194304" in err
    assert "000005.label: 1 unknown raw label id(s): 34 (1 times)" in err
    assert "000010.invalid" in err
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.npy"))
    assert written == [f"out/08/0000{frame}_1_1.npy" for frame in ("00", "05", "10")]
    status, out, _ = run(*arguments, "--allow-unknown")
    assert status == 1
    assert "1 files written, 3 were finished, 2 frames failed" in out


def test_misuse_and_missing_data(run, kitti_tree: Path, tmp_path: Path):
    assert run("--scales", "1_3")[0] == 2
    assert run("--jobs", "0")[0] == 2
    status, _, err = run("--data-root", tmp_path / "nowhere")
    assert status == 1 and "nowhere: folder not found" in err
    status, _, err = run("--data-root", kitti_tree, "--sequences", "03")
    assert status == 1 and "sequence 03" in err


def shell(repo_root: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    folder = str(Path(sys.executable).parent)
    environment = os.environ | {"VIRTUAL_ENV": folder, "PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", str(repo_root / "process_kitti.sh"), *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def test_shell_entry_point(repo_root: Path, kitti_tree: Path, tmp_path: Path):
    assert "usage: bash process_kitti.sh" in shell(repo_root, "--help", cwd=repo_root).stdout
    misused = shell(repo_root, "--nonsense", cwd=repo_root)
    assert misused.returncode == 2 and "--nonsense" in misused.stderr
    done = shell(
        repo_root,
        "--data-root",
        kitti_tree,
        "--out",
        tmp_path,
        "--sequences",
        "08",
        cwd=repo_root,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.rglob("*_1_1.npy"))) == 3


@pytest.mark.parametrize("sequence", ["00", "08"])
def test_real_labels(run, real_kitti: Path, tmp_path: Path, sequence: str):
    status, out, err = run(
        "--data-root", real_kitti, "--out", tmp_path, "--sequences", sequence, "--jobs", 1
    )
    assert status == 0, err
    assert "1 frames have a .bin but no .label, the first is 000005" in out
    labels = np.load(tmp_path / sequence / "000000_1_1.npy")
    # The invalid mask of the real frame is at least a tenth of the grid.
    assert (labels == 255).sum() > 0.1 * labels.size
    assert {0, 1, 9, 11, 13, 15} <= set(np.unique(labels).tolist())
