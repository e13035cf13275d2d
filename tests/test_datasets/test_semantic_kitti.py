from __future__ import annotations

import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader

import htcl.datasets.transforms  # noqa: F401  (registers the steps of the pipelines)
from htcl.command_line import run_tool
from htcl.datasets.semantic_kitti import SemanticKITTISSC
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.training_labels import downsample_labels
from htcl.errors import InvalidValueError, MissingFileError

BOX = (0, -25.6, -2, 51.2, 25.6, 4.4)
PIPELINE = [
    {"type": "LoadImages", "input_size": (32, 128)},
    {"type": "LoadVoxelLabels"},
    {"type": "LoadLidarPoints"},
    {"type": "PackInputs"},
]
TWELVE = {
    "vehicle": ["car", "truck", "other-vehicle"],
    "two-wheeler": ["bicycle", "motorcycle"],
    "person": ["person", "bicyclist", "motorcyclist"],
    "post": ["pole", "traffic-sign", "trunk"],
    "ignore": ["other-ground"],
}


@pytest.fixture(autouse=True)
def _scope():
    from mmengine.registry import init_default_scope

    init_default_scope("mmengine")


def build(root: Path, **kwargs) -> SemanticKITTISSC:
    kwargs = {"sequences": ["00", "08"], "pipeline": PIPELINE, **kwargs}
    return DATASETS.build({"type": "SemanticKITTISSC", "data_root": str(root), **kwargs})


def labels_of(sample: dict) -> np.ndarray:
    return sample["data_samples"].gt_voxels.semantics.numpy()


@pytest.mark.parametrize("released", [False, True])
def test_samples_follow_the_contract(kitti_tree: Path, released: bool):
    images = PIPELINE[0]
    if released:
        images = images | {"pixels": "released", "history_images": "released"}
    dataset = build(kitti_tree, pipeline=[images, *PIPELINE[1:]])
    assert len(dataset) == 6
    assert dataset.metainfo["classes"] == SEMANTICKITTI.class_names
    assert dataset.metainfo["specification"]["name"] == "SemanticKITTI"
    sample = dataset[4]
    inputs, data_sample = sample["inputs"], sample["data_samples"]
    cameras = [inputs.pop(key) for key in ("cameras", "history_cameras") if key in inputs]
    assert len(cameras) == 1 + released
    for camera in cameras:
        assert camera.shape == (1,) and camera.size == (32, 128)
        assert camera.pixels == ("released" if released else "centres")
        assert camera.intrinsics.dtype == torch.float32
        assert torch.equal(camera.augmentation[0], torch.eye(4))
    shapes = {key: (tuple(value.shape), str(value.dtype)[6:]) for key, value in inputs.items()}
    num_points = shapes.pop("points")[0][0]
    assert 2000 < num_points < 2600
    expected = {
        "images": ((1, 3, 32, 128), "uint8"),
        "right": ((1, 3, 32, 128), "uint8"),
        "focal_baseline": ((1,), "float32"),
        "history": ((3, 1, 3, 32, 128), "uint8"),
        "history_right": ((3, 1, 3, 32, 128), "uint8"),
        "current": ((1, 3, 32, 128), "uint8"),
        "current_from_history": ((3, 1, 4, 4), "float32"),
        "depth_maps": ((1, 32, 128), "float32"),
        "point_labels": ((num_points,), "int64"),
        "point_uvd": ((1, num_points, 3), "float32"),
    }
    if not released:
        del expected["current"]
    assert shapes == expected
    semantics = data_sample.gt_voxels.semantics
    assert tuple(semantics.shape) == (256, 256, 32) and str(semantics.dtype) == "torch.uint8"
    assert data_sample.sequence == "08" and data_sample.frame == "000005"
    assert data_sample.image_sizes == [(38, 124)]
    assert data_sample.specification is dataset.specification
    assert [Path(path).name for path in data_sample.image_paths] == ["000005.png"]
    assert [Path(paths[0]).name for paths in data_sample.history_paths] == [
        *("000000.png",) * 3,
    ]


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
        (2, (1, 4, 9), 3, [1, 6, 9, 10]),
        (1, [1, 4, 9], 3, [0, 1, 4, 5]),
    ],
)
def test_history(kitti_tree: Path, index: int, stride, history: int, expected: list[int]):
    dataset = build(kitti_tree, history_stride=stride, num_history=history, pipeline=[])
    info = dataset.get_data_info(index)
    (camera,) = info["cameras"]
    paths = [*camera["history"], camera["image"]]
    assert [int(Path(path).stem) for path in paths] == expected
    folder = f"sequences/{info['sequence']}/image_2"
    assert all(str(Path(path).parent).endswith(folder) for path in paths)
    rights = [path.replace("image_2", "image_3") for path in camera["history"]]
    assert camera["history_right"] == rights
    # The car of the fixture turns by 0.01 a frame.
    motion = camera["current_from_history"]
    assert (motion is None) == (history == 0)
    for matrix, index in zip(motion if history else (), expected, strict=False):
        assert matrix[0, 2] == pytest.approx(np.sin(0.01 * (index - expected[-1])))


def test_history_in_metres(writable_kitti_tree: Path):
    """The car of the fixture drives 1.005 m a frame."""
    metres = {"history_metres": 2.0, "pipeline": []}
    (camera,) = build(writable_kitti_tree, **metres).get_data_info(2)["cameras"]
    assert [int(Path(path).stem) for path in camera["history"]] == [4, 6, 8]
    limited = build(writable_kitti_tree, history_max_frames=5, **metres)
    (camera,) = limited.get_data_info(2)["cameras"]
    assert [int(Path(path).stem) for path in camera["history"]] == [5, 6, 8]
    # A network that takes no poses has its frames chosen by them; without history, nobody asks.
    (writable_kitti_tree / "sequences/08/poses.txt").unlink()
    with pytest.raises(MissingFileError, match=r"no poses\.txt; searched"):
        build(writable_kitti_tree, inputs={"images", "history"}, **metres)
    alone = build(writable_kitti_tree, inputs={"images"}, labels=False, **metres)
    assert alone.get_data_info(2)["cameras"][0]["history"] == []


def test_right_images_of_the_history(writable_kitti_tree: Path):
    """They are those of the earlier frames, as their own samples have them."""
    options = {"frames": "images", "labels": False, "num_history": 2, "history_stride": 3}
    dataset = build(writable_kitti_tree, **options, inputs={"right", "history", "history_right"})
    found = dataset[7]["inputs"]["history_right"]
    assert found.shape == (2, 1, 3, 32, 128)
    for place, index in enumerate((1, 4)):
        torch.testing.assert_close(found[place], dataset[index]["inputs"]["right"])
    (writable_kitti_tree / "sequences/00/image_3/000001.png").unlink()
    build(writable_kitti_tree, **options | {"frames": "voxels"}, inputs={"right", "history"})
    with pytest.raises(MissingFileError, match=r"image_3/000001\.png"):
        build(writable_kitti_tree, **options, inputs={"history_right"})


DEPTH_STEPS = [
    PIPELINE[0],
    {"type": "LoadDepthPrior", "depth_bins": {"start": 2.0, "stop": 6.0, "step": 1.0}},
    PIPELINE[-1],
]


def save_depth(root: Path, frame: int, depth: float) -> None:
    folder = root / "sequences/00/depth_2"
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{frame:06d}.npz", depth=np.full((4, 12), depth))


def test_external_depth(writable_kitti_tree: Path, tmp_path: Path):
    options = {"sequences": "00", "pipeline": DEPTH_STEPS, "labels": False}
    # Without names it is no input before there are files.
    assert "depth_prior" not in build(writable_kitti_tree, **options)[0]["inputs"]
    for frame, depth in ((0, 2.0), (5, 3.0), (10, 4.0)):
        save_depth(tmp_path / "own", frame, depth)
    options["depth_root"] = str(tmp_path / "own")
    inputs = build(writable_kitti_tree, **options)[2]["inputs"]
    assert inputs["depth_prior"].shape == (1, 4, 4, 16)
    assert inputs["history_depth_prior"].shape == (3, 1, 4, 4, 16)
    depths = [2 + int(x.argmax()) for x in inputs["history_depth_prior"][:, 0, :, 0, 0]]
    assert depths == [2, 2, 3] and (inputs["depth_prior"][0].argmax(dim=0) == 2).all()
    # A sample is complete or without.
    inputs = build(writable_kitti_tree, **options, history_stride=3)[1]["inputs"]
    assert "depth_prior" in inputs and "history_depth_prior" not in inputs
    assert (
        "depth_prior" not in build(writable_kitti_tree, **options, inputs={"images"})[1]["inputs"]
    )


def test_missing_external_depth_is_listed(writable_kitti_tree: Path, tmp_path: Path):
    options = {"sequences": "00", "pipeline": DEPTH_STEPS, "labels": False, "history_stride": 1}
    with pytest.raises(MissingFileError, match=r"depth_2: no such folder, 3 files .*depth_root"):
        build(writable_kitti_tree, **options, inputs={"depth_prior"})
    for frame in (0, 5, 9):
        save_depth(writable_kitti_tree, frame, 2.0)
    with pytest.raises(MissingFileError, match="1 files are missing") as error:
        build(writable_kitti_tree, **options, inputs={"depth_prior"})
    assert "sequences/00/depth_2/000010.npz (sequence 00 frame 000010, LoadDepthPrior)" in str(
        error.value
    )
    # The history of frame 5 takes 2, 3 and 4, that of frame 10 takes 7, 8 and 9.
    with pytest.raises(MissingFileError, match="5 files are missing"):
        build(writable_kitti_tree, **options, inputs={"history_depth_prior"})
    with pytest.raises(MissingFileError, match=r"nowhere.*\(from depth_root\)"):
        build(writable_kitti_tree, **options, depth_root=str(tmp_path / "nowhere"))


def test_all_images_as_samples(kitti_tree: Path):
    dataset = build(kitti_tree, frames="images", labels=False)
    assert len(dataset) == 24
    assert dataset.get_data_info(13)["frame"] == "000001"


def test_splits_and_root_variable(kitti_tree: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SEMANTICKITTI_ROOT", str(kitti_tree))
    dataset = SemanticKITTISSC(split="val", pipeline=PIPELINE)
    assert {dataset.get_data_info(i)["sequence"] for i in range(len(dataset))} == {"08"}
    with pytest.raises(MissingFileError, match="9 of 10 sequences") as error:
        SemanticKITTISSC(split="train", pipeline=PIPELINE)
    assert "sequences/09/image_2" in str(error.value)
    with pytest.raises(MissingFileError, match="11 of 11 sequences"):
        SemanticKITTISSC(split="test", pipeline=[])
    with pytest.raises(InvalidValueError, match="split='dev' is unknown"):
        SemanticKITTISSC(split="dev", pipeline=[])


@pytest.mark.parametrize("sequences", [8, "08", ["8"], (8,)])
def test_one_sequence_as_text_or_number(kitti_tree: Path, sequences):
    dataset = build(kitti_tree, sequences=sequences)
    assert dataset.sequences == ("08",) and len(dataset) == 3
    # 0 is a sequence, not "none".
    assert build(kitti_tree, sequences=0).sequences == ("00",)


def test_missing_files_are_listed_together(writable_kitti_tree: Path):
    folder = writable_kitti_tree / "sequences/00"
    missing = ["image_2/000003.png", "image_3/000005.png", "velodyne/000010.bin"]
    missing += ["voxels/000005.label", "voxels/000000.invalid"]
    for name in missing:
        (folder / name).unlink()
    with pytest.raises(MissingFileError, match="5 files are missing") as error:
        build(writable_kitti_tree, history_stride=1)
    assert all(name in str(error.value) for name in missing)
    # Frame 3 is not in the history of stride 5, and what is not wanted is not needed.
    with pytest.raises(MissingFileError, match="1 files are missing"):
        build(writable_kitti_tree, pipeline=PIPELINE[:1])
    images_only = build(writable_kitti_tree, inputs=["images", "history"], labels=False)
    assert len(images_only) == 6
    lazy = build(writable_kitti_tree, check_files=False)
    assert lazy[0 + 3]["inputs"]["images"].shape == (1, 3, 32, 128)
    with pytest.raises(MissingFileError, match=r"image_3/000005\.png"):
        lazy[1]


def test_missing_folders_are_named_with_their_keys(writable_kitti_tree: Path):
    folder = writable_kitti_tree / "sequences/08"
    for name in ("velodyne", "labels"):
        (folder / name).rename(writable_kitti_tree / f"elsewhere_{name}")
    with pytest.raises(MissingFileError, match="6 files are missing") as error:
        build(writable_kitti_tree)
    for name, key in (("velodyne", "velodyne_root"), ("labels", "lidarseg_root")):
        line = next(x for x in str(error.value).splitlines() if str(folder / name) in x)
        assert "no such folder, 3 files needed by LoadLidarPoints" in line and key in line
    assert len(build(writable_kitti_tree, inputs=["images", "right", "history"])) == 6


def test_inputs_that_are_not_wanted_are_not_loaded(writable_kitti_tree: Path):
    for name in ("image_3", "velodyne", "labels"):
        shutil.rmtree(writable_kitti_tree / "sequences/08" / name)
    (writable_kitti_tree / "sequences/08/poses.txt").unlink()
    sample = build(writable_kitti_tree, sequences="08", inputs={"images"})[1]
    assert set(sample["inputs"]) == {"images", "cameras"}
    assert labels_of(sample).shape == (256, 256, 32)
    with pytest.raises(MissingFileError, match=r"no poses\.txt; searched"):
        build(writable_kitti_tree, sequences="08", inputs={"images", "current_from_history"})
    # Without names, everything is loaded, but poses only if there are any.
    with pytest.raises(MissingFileError, match="image_3"):
        build(writable_kitti_tree, sequences="08")
    with pytest.raises(InvalidValueError, match=r"'history'.*num_history above 0"):
        build(writable_kitti_tree, sequences="08", inputs={"history"}, num_history=0)


def test_jpeg_frames(writable_kitti_tree: Path):
    for path in writable_kitti_tree.glob("sequences/08/image_*/*.png"):
        Image.open(path).save(path.with_suffix(".jpg"), quality=95)
        path.unlink()
    dataset = build(writable_kitti_tree, sequences="08")
    sample = dataset[1]
    assert sample["data_samples"].image_paths[0].endswith("image_2/000005.jpg")
    assert sample["inputs"]["history"].shape == (3, 1, 3, 32, 128)
    (writable_kitti_tree / "sequences/08/image_3/000005.jpg").unlink()
    with pytest.raises(MissingFileError, match=r"image_3/000005\.jpg"):
        build(writable_kitti_tree, sequences="08")


def test_ready_labels_come_first(writable_kitti_tree: Path):
    path = writable_kitti_tree / "labels/00/000000_1_1.npy"
    path.parent.mkdir(parents=True)
    np.save(path, np.full((256, 256, 32), 7, dtype=np.uint8))
    dataset = build(writable_kitti_tree)
    assert (labels_of(dataset[0]) == 7).all()
    assert (labels_of(dataset[1]) != 7).all()
    np.save(path, np.zeros((128, 128, 16), dtype=np.uint8))
    with pytest.raises(InvalidValueError, match=r"1_1\.npy.*expected uint8 \(256, 256, 32\)"):
        dataset[0]
    np.save(path, np.full((256, 256, 32), 77, dtype=np.uint8))
    with pytest.raises(InvalidValueError, match=r"000000_1_1\.npy: 1 unknown training label.*77"):
        dataset[0]


def test_ready_labels_may_be_compressed(writable_kitti_tree: Path):
    path = writable_kitti_tree / "labels/00/000000_1_1.npz"
    path.parent.mkdir(parents=True)
    np.savez_compressed(path, labels=np.full((256, 256, 32), 7, dtype=np.uint8))
    for kind in ("label", "invalid"):
        (writable_kitti_tree / f"sequences/00/voxels/000000.{kind}").unlink()
    dataset = build(writable_kitti_tree)
    assert (labels_of(dataset[0]) == 7).all()
    whole = path.read_bytes()
    for damaged in (b"", whole[:-30], whole[:300] + bytes([whole[300] ^ 255]) + whole[301:]):
        path.write_bytes(damaged)
        with pytest.raises(InvalidValueError, match=r"000000_1_1\.npz: not a readable \.npz file"):
            dataset[0]
    np.savez_compressed(path, other=np.zeros(1))
    with pytest.raises(InvalidValueError, match=r"holds \['other'\], expected the array"):
        dataset[0]


def test_a_bad_file_in_a_loaders_process_is_told_in_one_line(writable_kitti_tree: Path, capsys):
    path = writable_kitti_tree / "labels/00/000000_1_1.npy"
    path.parent.mkdir(parents=True)
    np.save(path, np.full((256, 256, 32), 77, dtype=np.uint8))
    loader = DataLoader(build(writable_kitti_tree), num_workers=1, collate_fn=list)
    assert run_tool("train", lambda args: next(iter(loader)), Namespace()) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert said.startswith(f"train: {path}: 1 unknown training label(s): 77 (2097152 times)")


def test_labels_on_another_grid(writable_kitti_tree: Path):
    full = labels_of(build(writable_kitti_tree)[0])
    half = {"base": "SemanticKITTI", "grid": {"point_cloud_range": BOX, "voxel_size": 0.4}}
    dataset = build(writable_kitti_tree, specification=half)
    sample = dataset[0]
    expected = downsample_labels(full, 2, SEMANTICKITTI)
    np.testing.assert_array_equal(labels_of(sample), expected)
    assert sample["data_samples"].specification.grid.voxel_size == (0.4,) * 3
    # A ready label of the finest scale is pooled, one of the grid's own scale taken as it is.
    folder = writable_kitti_tree / "labels/00"
    folder.mkdir(parents=True)
    np.save(folder / "000000_1_1.npy", full)
    np.testing.assert_array_equal(labels_of(dataset[0]), expected)
    np.save(folder / "000000_1_2.npy", np.full(expected.shape, 9, dtype=np.uint8))
    assert (labels_of(dataset[0]) == 9).all()
    box = {"point_cloud_range": (0, -12.8, -2, 25.6, 12.8, 4.4), "voxel_size": 0.2}
    near = build(writable_kitti_tree, specification={"base": "SemanticKITTI", "grid": box})[0]
    np.testing.assert_array_equal(labels_of(near), full[:128, 64:192])
    points = near["inputs"]["points"]
    assert len(points) and points[:, 0].max() < 25.6 and points[:, 1].abs().max() < 12.8
    other = {"point_cloud_range": (0, -24, -2, 48, 24, 4), "voxel_size": 0.3}
    with pytest.raises(InvalidValueError, match="cannot be turned into"):
        build(writable_kitti_tree, specification={"base": "SemanticKITTI", "grid": other})


def test_twelve_classes_from_raw_and_from_ready_labels(writable_kitti_tree: Path):
    full = labels_of(build(writable_kitti_tree)[0])
    dataset = build(writable_kitti_tree, specification={"base": "SemanticKITTI", "merge": TWELVE})
    names = dataset.metainfo["classes"]
    assert len(names) == 12
    from_raw = dataset[0]
    labels = labels_of(from_raw)
    # The scene has a car, a building, a road, and voxels that nobody saw.
    assert labels[60, 140, 5] == names.index("vehicle")
    assert labels[100, 70, 5] == names.index("building")
    assert labels[0, 90, 1] == names.index("road") and labels[100, 40, 5] == 255
    assert set(np.unique(from_raw["inputs"]["point_labels"])) == {
        *(0, names.index("vehicle"), names.index("road"), names.index("building"))
    }
    path = writable_kitti_tree / "labels/00/000000_1_1.npy"
    path.parent.mkdir(parents=True)
    np.save(path, full)
    np.testing.assert_array_equal(labels_of(dataset[0]), labels)


def test_too_few_poses(writable_kitti_tree: Path):
    path = writable_kitti_tree / "sequences/00/poses.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:8]))
    with pytest.raises(
        InvalidValueError, match=r"poses\.txt: 8 poses, but .*times\.txt has 12 times"
    ):
        build(writable_kitti_tree)
    build(writable_kitti_tree, inputs={"images", "history"})


def test_arguments_are_checked(kitti_tree: Path):
    with pytest.raises(InvalidValueError, match="history_stride"):
        build(kitti_tree, history_stride=0)
    with pytest.raises(InvalidValueError, match="frames='lidar' is unknown"):
        build(kitti_tree, frames="lidar")
    with pytest.raises(InvalidValueError, match="augmentations are for training"):
        build(kitti_tree, augmentations=[{"type": "BEVAugmentation"}], test_mode=True)


def test_augmentations_run_before_the_last_step(kitti_tree: Path):
    plain = labels_of(build(kitti_tree)[1])
    flip = {"type": "BEVAugmentation", "flip_y_prob": 1.0}
    sample = build(kitti_tree, augmentations=[flip])[1]
    np.testing.assert_array_equal(labels_of(sample), plain[:, ::-1])
    assert sample["inputs"]["cameras"].augmentation[0, 1, 1] == -1


@pytest.mark.parametrize("settings", ["released", "right"])
def test_real_frames(real_kitti: Path, settings: str):
    right = settings == "right"
    images = {"type": "LoadImages"}
    inputs = {"images", "right", "history", "depth_maps", "points"}
    if right:
        inputs |= {"current_from_history"}
    else:
        images |= {"pixels": "released", "history_images": "released"}
    options = {"pipeline": [images, *PIPELINE[1:]], "inputs": inputs}
    dataset = build(real_kitti, history_stride=1 if right else 5, check_files=False, **options)
    assert len(dataset) == 4
    for index, focal_baseline in ((0, 382.670), (2, 380.348)):
        inputs = dataset[index]["inputs"]
        assert inputs["images"].shape == (1, 3, 384, 1280)
        assert inputs["history"].shape == (3, 1, 3, 384, 1280)
        assert inputs["focal_baseline"].item() == pytest.approx(focal_baseline, abs=1e-3)
        assert 15_000 < (inputs["depth_maps"] > 0).sum() < 21_000
        assert ("current_from_history" in inputs) == right
    # Frame 000005 has no ground truth here: images, geometry and lidar only.
    dataset = build(real_kitti, sequences=["00"], history_stride=1, labels=False, **options)
    assert Path(dataset[1]["data_samples"].history_paths[0][0]).name == "000002.png"
