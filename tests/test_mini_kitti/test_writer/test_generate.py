"""The mini data set: layout, reproducibility, and what is never overwritten."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from htcl.datasets.semantic_kitti import SemanticKITTISSC
from htcl.datasets.transforms.load_voxel_labels import LoadVoxelLabels
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
    for name in ("8", "007", "0x", ""):
        with pytest.raises(InvalidValueError, match="no number of two digits or more"):
            make_mini_kitti(tmp_path, settings, [name])


SMALL = MiniKittiSettings(frames=2, image_size=(32, 104), lidar_azimuths=64, label_every=1)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of one street beyond two digits, with labels for every frame."""
    folder = tmp_path_factory.mktemp("small")
    assert make_mini_kitti(folder, SMALL, ["101"]) == ["101"]
    return folder


def test_a_street_is_the_same_alone_and_among_others(small: Path, tmp_path: Path) -> None:
    assert make_mini_kitti(tmp_path, SMALL, ["100", "101", "11"], jobs=2) == ["100", "101", "11"]
    assert digest(tmp_path / "sequences/101") == digest(small / "sequences/101")
    assert digest(tmp_path / "sequences/100") != digest(small / "sequences/101")
    assert "train_sequences=100,101`" in (tmp_path / "README.md").read_text()


def test_every_frame_can_have_labels(small: Path) -> None:
    voxels = {path.name for path in (small / "sequences/101/voxels").iterdir()}
    suffixes = ("bin", "label", "invalid", "occluded")
    assert voxels == {f"00000{frame}.{suffix}" for frame in range(2) for suffix in suffixes}


def test_lean_street_has_the_same_training_labels_and_scans(small: Path, tmp_path: Path) -> None:
    """Ready labels in place of official ones, and scans of frames with voxels only."""
    lean = replace(SMALL, frames=3, label_every=2, lean=True)
    make_mini_kitti(tmp_path, lean, ["101"])
    folder = tmp_path / "sequences/101"
    assert {path.name for path in (folder / "voxels").iterdir()} == {"000000.bin", "000002.bin"}
    assert {path.name for path in (folder / "velodyne").iterdir()} == {"000000.bin", "000002.bin"}
    assert len(list((folder / "image_2").iterdir())) == 3
    ready = {path.name for path in (tmp_path / "labels/101").iterdir()}
    assert ready == {"000000_1_1.npz", "000002_1_1.npz", "SYNTHETIC.json"}
    (tmp_path / "full").mkdir()
    make_mini_kitti(tmp_path / "full", replace(lean, lean=False), ["101"])
    sample = {"split": "train", "sequences": ["101"], "labels": True}
    labels = []
    for root in (tmp_path, tmp_path / "full"):
        dataset = SemanticKITTISSC(
            specification="SemanticKITTI",
            data_root=str(root),
            pipeline=[LoadVoxelLabels()],
            **sample,
        )
        assert len(dataset) == 2
        labels.append([dataset[index]["voxel_labels"] for index in range(2)])
    assert (np.array(labels[0]) == np.array(labels[1])).all()
    assert {0, 1, 9, 255} <= set(np.unique(labels[0]))
    # Made anew without ready labels, the old ones must not be found in place of the new.
    shutil.rmtree(folder)
    make_mini_kitti(tmp_path, replace(SMALL, frames=1), ["101"])
    assert not (tmp_path / "labels/101").exists()


def test_labels_of_somebody_else_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "labels/101").mkdir(parents=True)
    with pytest.raises(InvalidValueError, match="labels of a sequence that is not there"):
        make_mini_kitti(tmp_path, SMALL, ["101"])
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]
