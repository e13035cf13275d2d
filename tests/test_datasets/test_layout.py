from __future__ import annotations

from pathlib import Path

import pytest

from htcl.datasets.layout import ROOT_VARIABLE, KittiLayout
from htcl.errors import InvalidValueError, MissingFileError


@pytest.fixture(autouse=True)
def _no_root_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)


def file(layout: KittiLayout, sequence: str, kind: str, frame: str) -> Path:
    return layout.files(sequence, kind, [frame])[frame]


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize("below", ["", "sequences", "dataset/sequences"])
def test_single_root_in_three_depths(tmp_path: Path, below: str):
    parent = tmp_path / below
    for kind in ("image_2", "velodyne", "labels", "voxels"):
        touch(parent / "08" / kind / "000000.x")
    layout = KittiLayout(tmp_path)
    assert layout.sequences() == ["08"]
    assert file(layout, "08", "velodyne", "000003") == parent / "08/velodyne/000003.bin"
    assert file(layout, "08", "point_labels", "000003") == parent / "08/labels/000003.label"
    assert file(layout, "08", "voxel_invalid", "000003") == parent / "08/voxels/000003.invalid"
    assert layout.label_root == parent.parent / "labels"
    assert layout.training_label("08", "000003", "1_2").name == "000003_1_2.npy"


def test_three_roots_of_the_first_readme(tmp_path: Path):
    image_root = tmp_path / "data/occupancy/semanticKITTI/RGB"
    touch(image_root / "dataset/sequences/00/image_2/000000.png")
    touch(image_root / "dataset/sequences/00/calib.txt")
    touch(image_root / "dataset/sequences/00/voxels/000000.bin")
    scan = touch(tmp_path / "data/lidar/velodyne/dataset/sequences/00/velodyne/000000.bin")
    label = touch(tmp_path / "data/lidar/lidarseg/dataset/sequences/00/labels/000000.label")
    layout = KittiLayout(image_root)
    assert file(layout, "00", "velodyne", "000000") == scan
    assert file(layout, "00", "point_labels", "000000") == label
    assert layout.label_root == image_root / "dataset/labels"


def test_poses_and_voxels_are_found_in_any_root(tmp_path: Path):
    touch(tmp_path / "a/sequences/00/image_2/000000.png")
    poses = touch(tmp_path / "b/dataset/sequences/00/poses.txt")
    voxel = touch(tmp_path / "b/dataset/sequences/00/voxels/000005.bin")
    layout = KittiLayout(tmp_path / "a", lidarseg_root=tmp_path / "b")
    assert layout.poses("00") == poses
    assert file(layout, "00", "voxel_bin", "000005") == voxel
    assert list(layout.frames("00", "voxel_bin")) == ["000005"]


def test_external_depth_may_have_its_own_root(tmp_path: Path):
    touch(tmp_path / "a/sequences/00/image_2/000000.png")
    beside = tmp_path / "a/sequences/00/depth_2/000000.npz"
    assert file(KittiLayout(tmp_path / "a"), "00", "depth_2", "000000") == beside
    own = touch(tmp_path / "b/sequences/00/depth_2/000000.npz")
    layout = KittiLayout(tmp_path / "a", depth_root=tmp_path / "b")
    assert file(layout, "00", "depth_2", "000000") == own
    with pytest.raises(MissingFileError, match=r"nowhere.*depth_root"):
        KittiLayout(tmp_path / "a", depth_root=tmp_path / "nowhere")


def test_poses_in_the_folder_of_the_kitti_archive(tmp_path: Path):
    touch(tmp_path / "dataset/sequences/00/image_2/000000.png")
    poses = touch(tmp_path / "dataset/poses/00.txt")
    assert KittiLayout(tmp_path).poses("00") == poses


def test_frames_are_sorted_and_foreign_files_ignored(tmp_path: Path):
    for name in ("000010.bin", "000000.bin", "000005.bin", "000000.label", "notes.bin"):
        touch(tmp_path / "sequences/00/voxels" / name)
    frames = KittiLayout(tmp_path).frames("00", "voxel_bin")
    assert list(frames) == ["000000", "000005", "000010"]
    assert frames["000005"] == tmp_path / "sequences/00/voxels/000005.bin"


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_images_may_be_jpegs(tmp_path: Path, suffix: str):
    for name in (f"000000{suffix}", f"000001{suffix}", "000001.png"):
        touch(tmp_path / "sequences/00/image_2" / name)
    layout = KittiLayout(tmp_path)
    found = layout.frames("00", "image_2")
    assert [path.name for path in found.values()] == [f"000000{suffix}", "000001.png"]
    # What is missing is looked for under the names of the others.
    assert file(layout, "00", "image_2", "000007").name == f"000007{suffix}"
    assert file(layout, "00", "image_3", "000007") == tmp_path / "sequences/00/image_3/000007.png"


def test_environment_variable_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touch(tmp_path / "sequences/00/calib.txt")
    with pytest.raises(InvalidValueError, match=ROOT_VARIABLE):
        KittiLayout()
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    assert KittiLayout().sequences() == ["00"]
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(MissingFileError, match=f"nowhere.*environment variable {ROOT_VARIABLE}"):
        KittiLayout()


def test_errors_list_what_was_searched(tmp_path: Path):
    with pytest.raises(MissingFileError, match=r"searched .*dataset/sequences"):
        KittiLayout(tmp_path)
    touch(tmp_path / "sequences/00/calib.txt")
    touch(tmp_path / "lidar/sequences/00/velodyne/000000.bin")
    layout = KittiLayout(tmp_path, velodyne_root=tmp_path / "lidar")
    with pytest.raises(MissingFileError, match=r"'labels'; searched .*sequences/00/labels.*lidar"):
        layout.folder("00", "point_labels")
    with pytest.raises(MissingFileError, match=r"no poses\.txt; searched .*poses/00\.txt"):
        layout.poses("00")
    with pytest.raises(MissingFileError, match="velodyne_root"):
        KittiLayout(tmp_path, velodyne_root=tmp_path / "nowhere")
    with pytest.raises(KeyError, match="image_9"):
        layout.folder("00", "image_9")
