from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmdet3d.registry import DATASETS

import htcl.datasets.transforms  # noqa: F401  (registers the steps of the pipelines)
from htcl.datasets.labels import CLASS_NAMES
from htcl.datasets.semantic_kitti import SemanticKITTISSC

LOAD_ALL = [
    {"type": "LoadStereoImages", "input_size": (32, 128)},
    {"type": "LoadCalibrationAndPoses"},
    {"type": "LoadVoxelLabels"},
    {"type": "LoadLidarPoints"},
    {"type": "PackSSCInputs"},
]


@pytest.fixture(autouse=True)
def _scope():
    from mmengine.registry import init_default_scope

    init_default_scope("mmdet3d")


def build(root: Path, **kwargs) -> SemanticKITTISSC:
    kwargs = {"sequences": ["00", "08"], "pipeline": LOAD_ALL, **kwargs}
    return DATASETS.build({"type": "SemanticKITTISSC", "data_root": str(root), **kwargs})


def test_samples_follow_the_contract(kitti_tree: Path):
    dataset = build(kitti_tree)
    assert len(dataset) == 6
    assert dataset.metainfo["classes"] == CLASS_NAMES
    sample = dataset[4]
    inputs, data_sample = sample["inputs"], sample["data_samples"]
    shapes = {key: (tuple(value.shape), str(value.dtype)[6:]) for key, value in inputs.items()}
    num_points = shapes.pop("points")[0][0]
    assert 2000 < num_points < 2600
    assert shapes == {
        "left": ((3, 32, 128), "uint8"),
        "right": ((3, 32, 128), "uint8"),
        "frames": ((4, 3, 32, 128), "uint8"),
        "intrinsics_left": ((4, 4), "float32"),
        "intrinsics_right": ((4, 4), "float32"),
        "pixel_transform": ((3, 3), "float32"),
        "frames_pixel_transform": ((3, 3), "float32"),
        "lidar_from_camera": ((4, 4), "float32"),
        "augmented_from_lidar": ((4, 4), "float32"),
        "current_from_frame": ((4, 4, 4), "float32"),
        "focal_baseline": ((), "float32"),
        "depth_map": ((32, 128), "float32"),
        "point_labels": ((num_points,), "int64"),
        "point_uvd": ((num_points, 3), "float32"),
    }
    semantics = data_sample.gt_voxels.semantics
    assert tuple(semantics.shape) == (256, 256, 32) and str(semantics.dtype) == "torch.uint8"
    assert data_sample.sequence == "08" and data_sample.frame == "000005"
    assert data_sample.image_size == (38, 124)
    assert data_sample.voxel_origin == (0.0, -25.6, -2.0)
    assert data_sample.voxel_size == 0.2 and data_sample.grid_size == (256, 256, 32)
    assert isinstance(data_sample.intrinsics_left, np.ndarray)
    assert Path(data_sample.left_path).name == "000005.png"


@pytest.mark.parametrize(
    ("index", "stride", "history", "expected"),
    [
        (2, 5, 3, [0, 0, 5, 10]),
        (2, 1, 3, [7, 8, 9, 10]),
        (1, 5, 3, [0, 0, 0, 5]),
        (0, 5, 3, [0, 0, 0, 0]),
        (1, 1, 0, [5]),
        # The first frame of sequence 08 has no history: it never reaches into sequence 00.
        (3, 5, 3, [0, 0, 0, 0]),
        (5, 2, 2, [6, 8, 10]),
    ],
)
def test_history(kitti_tree: Path, index: int, stride: int, history: int, expected: list[int]):
    dataset = build(kitti_tree, history_stride=stride, num_history=history, pipeline=[])
    info = dataset.get_data_info(index)
    assert info["frame_indices"] == expected
    assert [int(Path(path).stem) for path in info["frame_paths"]] == expected
    folder = f"sequences/{info['sequence']}/image_2"
    assert all(str(Path(path).parent).endswith(folder) for path in info["frame_paths"])
    assert info["frame_paths"][-1] == info["left_path"]


def test_all_images_as_samples(kitti_tree: Path):
    dataset = build(kitti_tree, frames="images", pipeline=LOAD_ALL[:2])
    assert len(dataset) == 24
    assert dataset.get_data_info(13)["frame"] == "000001"


def test_splits_and_root_variable(kitti_tree: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SEMANTICKITTI_ROOT", str(kitti_tree))
    dataset = SemanticKITTISSC(split="val", pipeline=LOAD_ALL)
    assert {dataset.get_data_info(i)["sequence"] for i in range(len(dataset))} == {"08"}
    with pytest.raises(FileNotFoundError, match="9 of 10 sequences") as error:
        SemanticKITTISSC(split="train", pipeline=LOAD_ALL)
    assert "sequences/09/image_2" in str(error.value)
    with pytest.raises(FileNotFoundError, match="11 of 11 sequences"):
        SemanticKITTISSC(split="test", pipeline=[])
    with pytest.raises(ValueError, match="unknown split 'dev'"):
        SemanticKITTISSC(split="dev", pipeline=[])


def test_missing_files_are_listed_together(writable_kitti_tree: Path):
    folder = writable_kitti_tree / "sequences/00"
    missing = ["image_2/000003.png", "image_3/000005.png", "velodyne/000010.bin"]
    missing += ["voxels/000005.label", "voxels/000000.invalid"]
    for name in missing:
        (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match="5 files are missing") as error:
        build(writable_kitti_tree, history_stride=1)
    assert all(name in str(error.value) for name in missing)
    # Frame 3 is not in the history of stride 5, and what no transform loads is not needed.
    with pytest.raises(FileNotFoundError, match="1 files are missing"):
        build(writable_kitti_tree, pipeline=LOAD_ALL[:2])
    images_only = build(writable_kitti_tree, pipeline=[LOAD_ALL[0] | {"right": False}])
    assert len(images_only) == 6
    lazy = build(writable_kitti_tree, check_files=False)
    assert lazy[0 + 3]["inputs"]["left"].shape == (3, 32, 128)
    with pytest.raises(FileNotFoundError, match=r"image_3/000005\.png"):
        lazy[1]


def test_missing_folder_is_reported(writable_kitti_tree: Path):
    (writable_kitti_tree / "sequences/08/velodyne").rename(writable_kitti_tree / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"no such folder.*sequence 08.*LoadLidarPoints"):
        build(writable_kitti_tree)
    assert len(build(writable_kitti_tree, pipeline=LOAD_ALL[:3])) == 6


def test_ready_labels_come_first(writable_kitti_tree: Path):
    path = writable_kitti_tree / "labels/00/000000_1_1.npy"
    path.parent.mkdir(parents=True)
    np.save(path, np.full((256, 256, 32), 7, dtype=np.uint8))
    dataset = build(writable_kitti_tree)
    assert (dataset[0]["data_samples"].gt_voxels.semantics == 7).all()
    assert (dataset[1]["data_samples"].gt_voxels.semantics != 7).all()
    strict = [LOAD_ALL[2] | {"raw_fallback": False}]
    with pytest.raises(FileNotFoundError, match=r"5 files are missing"):
        build(writable_kitti_tree, pipeline=strict)
    np.save(path, np.zeros((128, 128, 16), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"000000_1_1\.npy.*expected uint8 \(256, 256, 32\)"):
        dataset[0]


def test_too_few_poses(writable_kitti_tree: Path):
    path = writable_kitti_tree / "sequences/00/poses.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:8]))
    dataset = build(writable_kitti_tree)
    dataset[1]
    with pytest.raises(ValueError, match=r"poses\.txt: 8 poses, but frame 10 needs line 11"):
        dataset[2]


def test_arguments_are_checked(kitti_tree: Path):
    with pytest.raises(ValueError, match="history_stride"):
        build(kitti_tree, history_stride=0)
    with pytest.raises(ValueError, match="unknown frames"):
        build(kitti_tree, frames="lidar")


@pytest.mark.parametrize("settings", ["released", "right"])
def test_real_frames(real_kitti: Path, settings: str):
    right = settings == "right"
    images = {"type": "LoadStereoImages"}
    if right:
        images |= {
            "temporal_frames": "network",
            "pixel_convention": "centre",
            "size_rounding": "round",
        }
    pipeline = [
        images,
        {"type": "LoadCalibrationAndPoses", "poses": right},
        {"type": "LoadVoxelLabels"},
        {"type": "LoadLidarPoints"},
        {"type": "PackSSCInputs"},
    ]
    dataset = build(
        real_kitti, history_stride=1 if right else 5, pipeline=pipeline, check_files=False
    )
    assert len(dataset) == 4
    for index, focal_baseline in ((0, 382.670), (2, 380.348)):
        inputs = dataset[index]["inputs"]
        assert inputs["left"].shape == (3, 384, 1280)
        assert inputs["frames"].shape == (4, 3, 384, 1280)
        assert inputs["focal_baseline"].item() == pytest.approx(focal_baseline, abs=1e-3)
        assert 15_000 < (inputs["depth_map"] > 0).sum() < 21_000
        assert ("current_from_frame" in inputs) == right
    # Frame 000005 has no ground truth here: images, geometry and lidar only.
    dataset = build(
        real_kitti, sequences=["00"], history_stride=1, pipeline=[*pipeline[:2], *pipeline[3:]]
    )
    assert Path(dataset[1]["data_samples"].frame_paths[0]).name == "000002.png"
