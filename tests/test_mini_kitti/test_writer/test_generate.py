"""The mini data set: layout, reproducibility, and what is never overwritten."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from htcl.errors import InvalidValueError
from mini_kitti import MiniKittiSettings, make_mini_kitti


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_layout_is_that_of_semantickitti(root: Path, settings: MiniKittiSettings) -> None:
    folder = root / "sequences/08"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    expected = {"calib.txt", "poses.txt", "times.txt", "SYNTHETIC.json"}
    for frame in range(3):
        expected |= {f"image_2/{frame:06d}.png", f"image_3/{frame:06d}.png"}
        expected |= {f"velodyne/{frame:06d}.bin", f"labels/{frame:06d}.label"}
    for frame in (0, 2):
        suffixes = ("bin", "label", "invalid", "occluded")
        expected |= {f"voxels/{frame:06d}.{suffix}" for suffix in suffixes}
    assert names == expected
    assert (folder / "voxels/000000.label").stat().st_size == 256 * 256 * 32 * 2
    assert (folder / "voxels/000000.invalid").stat().st_size == 256 * 256 * 32 // 8
    assert cv2.imread(str(folder / "image_2/000000.png")).shape == (*settings.image_size, 3)
    assert len((folder / "times.txt").read_text().splitlines()) == 3
    assert np.loadtxt(folder / "poses.txt").shape == (3, 12)
    assert "SYNTHETIC" in (root / "README.md").read_text()
    assert json.loads((folder / "SYNTHETIC.json").read_text())["synthetic"] is True


def test_test_sequence_has_no_labels(root: Path) -> None:
    folder = root / "sequences/11"
    assert not (folder / "labels").exists()
    assert {path.suffix for path in (folder / "voxels").iterdir()} == {".bin"}


def test_same_bytes_whatever_the_number_of_processes(
    root: Path, tmp_path: Path, settings: MiniKittiSettings
) -> None:
    make_mini_kitti(tmp_path, settings, ["08", "11"], jobs=2)
    assert digest(tmp_path) == digest(root)


def test_other_seed_makes_another_street(root: Path, tmp_path: Path) -> None:
    other = MiniKittiSettings(seed=4, frames=1, image_size=(96, 312), lidar_azimuths=180)
    make_mini_kitti(tmp_path, other, ["11"])
    ours, theirs = (
        cv2.imread(str(folder / "sequences/11/image_2/000000.png")).astype(float)
        for folder in (root, tmp_path)
    )
    assert np.abs(ours - theirs).mean() > 10


def test_finished_sequences_are_kept(root: Path, settings: MiniKittiSettings) -> None:
    before = (root / "sequences/08/calib.txt").stat().st_mtime_ns
    assert make_mini_kitti(root, settings, ["08"]) == []
    assert (root / "sequences/08/calib.txt").stat().st_mtime_ns == before


def test_leftovers_of_an_interrupted_run_are_replaced(tmp_path: Path) -> None:
    partial = tmp_path / "sequences/.11.partial"
    partial.mkdir(parents=True)
    (partial / "junk").write_text("x")
    small = MiniKittiSettings(frames=1, image_size=(32, 104), lidar_azimuths=32)
    assert make_mini_kitti(tmp_path, small, ["11"]) == ["11"]
    assert not partial.exists()
    assert not (tmp_path / "sequences/11/junk").exists()


def test_sequences_of_other_settings_are_refused(root: Path) -> None:
    with pytest.raises(InvalidValueError, match="other settings"):
        make_mini_kitti(root, MiniKittiSettings(seed=9), ["08"])


def test_real_data_is_never_touched(tmp_path: Path, settings: MiniKittiSettings) -> None:
    (tmp_path / "sequences/00").mkdir(parents=True)
    with pytest.raises(InvalidValueError, match="not made by this program"):
        make_mini_kitti(tmp_path, settings, ["00"])
    assert [path.name for path in tmp_path.iterdir()] == ["sequences"]


def test_wrong_sequence_name(tmp_path: Path, settings: MiniKittiSettings) -> None:
    with pytest.raises(InvalidValueError, match="two digits"):
        make_mini_kitti(tmp_path, settings, ["8"])
