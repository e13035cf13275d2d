from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from htcl.datasets.voxel_files import read_voxel_labels, read_voxel_mask


@pytest.fixture
def run(load_tool, capfd: pytest.CaptureFixture):
    """Runs the tool and returns (exit status, stdout, stderr)."""
    tool = load_tool("data_converter/voxelize_scans.py")

    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            status = tool.main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            status = exit_.code
        return status, *capfd.readouterr()

    return call


def test_official_bin_from_the_command_line(run, real_kitti: Path, tmp_path: Path):
    arguments = ("--data-root", real_kitti, "--out", tmp_path, "--sequences", "00", "--jobs", 2)
    # As the label file beside the official masks was made: with the points of the car.
    status, out, err = run(*arguments, "--max-range", 50, "--car-box", 0, 0, 0)
    assert status == 0, err
    assert "2 frames made (8 files written)" in out
    made = tmp_path / "sequences/00/voxels"
    official = real_kitti / "dataset/sequences/00/voxels"
    assert (made / "000005.bin").read_bytes() == (official / "000005.bin").read_bytes()
    labels = read_voxel_labels(made / "000000.label")
    np.testing.assert_array_equal(labels, read_voxel_labels(official / "000000.label"))
    invalid = read_voxel_mask(made / "000000.invalid")
    occluded = read_voxel_mask(made / "000000.occluded")
    assert not (invalid & ~occluded).any() and not (invalid & (labels > 0)).any()


def test_existing_files_are_kept(run, kitti_tree: Path, tmp_path: Path):
    arguments = ("--data-root", kitti_tree, "--out", tmp_path, "--sequences", "08", "--jobs", 1)
    arguments += ("--frames", 0, 10, "--future", 2)
    status, _, err = run(*arguments)
    assert status == 0, err
    folder = tmp_path / "sequences/08/voxels"
    (folder / "000000.label").unlink()
    (folder / "000000.bin").write_bytes(b"mine")
    _, out, _ = run(*arguments)
    assert "1 frames made (1 files written), 1 were finished, 0 failed" in out
    assert (folder / "000000.bin").read_bytes() == b"mine"
    run(*arguments, "--overwrite")
    assert (folder / "000000.bin").stat().st_size == 262_144
    # The car of the scene, raw id 10, at x 10-13 m, y 2-4 m.
    assert (read_voxel_labels(folder / "000000.label")[51:64, 139:147] == 10).any()


def test_fewer_scans_than_asked_for_are_told(run, kitti_tree: Path, tmp_path: Path):
    """The tree has 12 scans a sequence: 7 come after frame 4, 1 after frame 10."""
    arguments = ("--data-root", kitti_tree, "--out", tmp_path, "--sequences", "08", "--jobs", 1)
    status, out, _ = run(*arguments, "--frames", 4, 10, "--future", 3)
    assert status == 0
    assert "note: 1 of 2 frames gathered fewer than the 3 other scans" in out
    assert "1 at the least" in out and "000010)" in out
    status, out, _ = run(*arguments, "--frames", 4, "--future", 3, "--overwrite")
    assert status == 0 and "note" not in out


def test_a_bad_calibration_is_told_once(run, writable_kitti_tree: Path, tmp_path: Path):
    path = writable_kitti_tree / "sequences/00/calib.txt"
    path.write_text(path.read_text().replace("Tr:", "Td:"))
    root = ("--data-root", writable_kitti_tree, "--out", tmp_path, "--jobs", 1)
    status, _, err = run(*root, "--sequences", "00")
    assert status == 1 and err.count("calibration lacks Tr") == 1


def test_errors(run, kitti_tree: Path, tmp_path: Path):
    root = tmp_path / "kitti"
    shutil.copytree(kitti_tree / "sequences/00", root / "sequences/00")
    (root / "sequences/00/labels/000001.label").write_bytes(b"1234")
    arguments = ("--data-root", root, "--out", tmp_path, "--future", 2, "--jobs", 1)
    status, out, err = run(*arguments, "--frames", 0, 5)
    assert status == 1
    assert "1 frames made (4 files written), 0 were finished, 1 failed" in out
    assert "000001.label: point label file has 4 bytes" in err
    status, _, err = run("--data-root", root, "--frames", 77)
    assert status == 1 and "000077.bin: lidar scan file not found" in err
    assert run("--every", 0)[0] == 2
