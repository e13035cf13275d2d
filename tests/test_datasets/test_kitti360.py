"""SSCBench-KITTI-360: samples, history across the benchmark's holes, labels, what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import kitti360_tree as tree
import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS
from PIL import Image

import htcl.datasets.transforms  # noqa: F401  (registers the steps of the pipelines)
from htcl.datasets.kitti360 import KITTI360SSC
from htcl.datasets.kitti360_frames import write_frame_numbers
from htcl.datasets.kitti360_layout import drive_name
from htcl.datasets.kitti360_specification import KITTI360
from htcl.errors import InvalidValueError, MissingFileError

PIPELINE = [
    {"type": "LoadImages", "input_size": (32, 128)},
    {"type": "LoadVoxelLabels"},
    {"type": "LoadLidarPoints"},
    {"type": "PackInputs"},
]
STEREO = {"images", "right", "history", "current_from_history"}


def build(root: Path, **kwargs) -> KITTI360SSC:
    kwargs = {"sequences": ["00"], "pipeline": PIPELINE, **kwargs}
    return DATASETS.build({"type": "KITTI360SSC", "data_root": str(root), **kwargs})


def drive(root: Path, sequence: str = "00") -> Path:
    return root / "data_2d_raw" / drive_name(sequence)


def history_of(dataset: KITTI360SSC, index: int) -> list[int]:
    (camera,) = dataset.get_data_info(index)["cameras"]
    return [int(Path(path).stem) for path in camera["history"]]


@pytest.fixture
def said(monkeypatch):
    messages: list[str] = []
    for module in ("kitti360", "occupancy_dataset"):
        name = f"htcl.datasets.{module}.print_log"
        monkeypatch.setattr(name, lambda message, **_: messages.append(message))
    return messages


def test_samples_follow_the_contract(kitti360_tree: Path):
    dataset = build(kitti360_tree, sequences=["00", "09"])
    assert len(dataset) == 6
    assert dataset.metainfo["classes"] == KITTI360.class_names
    sample = dataset[5]
    inputs, data_sample = sample["inputs"], sample["data_samples"]
    camera = inputs.pop("cameras")
    shapes = {key: (tuple(value.shape), str(value.dtype)[6:]) for key, value in inputs.items()}
    points = shapes.pop("points")[0][0]
    assert shapes == {
        "images": ((1, 3, 32, 128), "uint8"),
        "right": ((1, 3, 32, 128), "uint8"),
        "focal_baseline": ((1,), "float32"),
        "history": ((3, 1, 3, 32, 128), "uint8"),
        "history_right": ((3, 1, 3, 32, 128), "uint8"),
        "current_from_history": ((3, 1, 4, 4), "float32"),
        "depth_maps": ((1, 32, 128), "float32"),
        "point_labels": ((points,), "int64"),
        "point_uvd": ((1, points, 3), "float32"),
    }
    assert (data_sample.sequence, data_sample.frame) == ("09", "000010")
    assert data_sample.image_sizes == [tree.IMAGE_SIZE]
    assert history_of(dataset, 5) == [0, 0, 5]
    # A metre a frame, straight on: a point 10 m ahead was 15 m ahead five frames ago.
    motion = inputs["current_from_history"][2, 0]
    assert torch.allclose(motion @ torch.tensor([0.0, 0, 15, 1]), torch.tensor([0.0, 0, 10, 1]))
    assert inputs["focal_baseline"].item() == pytest.approx(-tree.RIGHT_OFFSET)
    # The image is as wide as the network's; its two upper rows fall away.
    pixels, depth = camera.project(torch.tensor([[10.8, 0.3, -0.18]]))
    assert pixels[0, 0].tolist() == pytest.approx([tree.CENTRE[0], tree.CENTRE[1] - 2], abs=1e-4)
    assert depth.item() == pytest.approx(10)


def test_label_beats_the_mask(kitti360_tree: Path):
    """What is labelled is scored; trunk means empty; the other voxels there are not scored."""
    labels = build(kitti360_tree)[0]["data_samples"].gt_voxels.semantics
    assert labels[60, 140, 5] == 1 and labels[0, 100, 1] == 7 and labels[0, 100, 2] == 0
    assert labels[0, 70, 5] == 17
    assert labels[31, 76, 5] == 0
    assert labels[31, 76, 20] == 255
    assert (labels == 255).sum() == 78 * 256 * 32 - 256 * 5 * 18 - 3 * 3 * 10


def test_points_have_the_labels_of_their_voxels(kitti360_tree: Path):
    sample = build(kitti360_tree)[0]
    inputs, labels = sample["inputs"], sample["data_samples"].gt_voxels.semantics
    voxels = ((inputs["points"] - torch.tensor([0, -25.6, -2])) / 0.2).floor().long()
    expected = labels[tuple(voxels.T)].long()
    expected[expected == 255] = 0
    assert torch.equal(inputs["point_labels"], expected)
    assert set(inputs["point_labels"].tolist()) == {0, 7}


def test_ready_labels_of_other_programs(writable_kitti360_tree: Path):
    """They may be of the benchmark's float32 writer, in either folder; else they are refused."""
    root = writable_kitti360_tree
    ready = np.full((256, 256, 32), 255, dtype=np.float32)
    ready[3, 4, 5] = 18
    for name in ("labels", "preprocess/labels"):
        folder = root / name / drive_name("00")
        folder.mkdir(parents=True)
        np.save(folder / "000000_1_1.npy", ready)
        labels = build(root)[0]["data_samples"].gt_voxels.semantics.numpy()
        np.testing.assert_array_equal(labels, ready)
        ready[0, 0, 0] -= 250
    assert labels[0, 0, 0] == 5
    for wrong in (0.5, 19, -1, np.nan):
        ready[0, 0, 0] = wrong
        np.save(folder / "000000_1_1.npy", ready)
        with pytest.raises(InvalidValueError, match=r"000000_1_1\.npy: .*training label"):
            build(root)[0]


@pytest.mark.parametrize("numbered", ["time", "way"])
def test_history_ends_at_a_hole(writable_kitti360_tree: Path, numbered: str):
    """Between frames 6 and 7 the benchmark left out 20 s, or 30 m."""
    root = writable_kitti360_tree
    if numbered == "time":
        numbers = np.arange(tree.NUM_FRAMES) + 200 * (np.arange(tree.NUM_FRAMES) > 6)
        write_frame_numbers(drive(root) / "frame_numbers.txt", "00", numbers)
    else:
        poses = tree.camera_poses()
        poses[7:, 0, 3] += 30
        tree.write_numbered_poses(drive(root) / "cam0_to_world.txt", poses)
    options = {"frames": "images", "labels": False, "history_stride": 1, "pipeline": []}
    dataset = build(root, **options)
    assert history_of(dataset, 6) == [3, 4, 5]
    assert history_of(dataset, 7) == [7, 7, 7]
    assert history_of(dataset, 9) == [7, 7, 8]
    whole = build(root, history_gap_seconds=None, history_gap_metres=None, **options)
    assert history_of(whole, 9) == [6, 7, 8]


@pytest.mark.parametrize("key", ["history_gap_seconds", "history_gap_metres"])
def test_limits_of_gaps(kitti360_tree: Path, key: str):
    for value in (0, -1.0, float("nan")):
        with pytest.raises(InvalidValueError, match=f"{key}=.*expected a number above 0"):
            build(kitti360_tree, **{key: value})


def test_poses_with_numbers_of_kitti360(writable_kitti360_tree: Path):
    """Rows of frames that the benchmark left out are passed over, by the frame map."""
    root = writable_kitti360_tree
    folder = drive(root)
    poses, numbers = tree.camera_poses(40), 9 + 2 * np.arange(tree.NUM_FRAMES)
    lines = [f"{n} {tree.text_of(pose)}" for n, pose in enumerate(poses) if n > 3]
    (folder / "cam0_to_world.txt").write_text("\n".join(lines))
    with pytest.raises(InvalidValueError, match=r"KITTI-360's frame numbers \(4 to 39\)"):
        build(root, inputs=STEREO, labels=False)
    write_frame_numbers(root / "frame_numbers.txt", "00", numbers)
    motion = build(root)[2]["inputs"]["current_from_history"]
    # Two metres a frame now.
    assert motion[2, 0, 2, 3] == pytest.approx(-10)
    (folder / "cam0_to_world.txt").write_text("\n".join(lines[:10]))
    with pytest.raises(InvalidValueError, match=r"8 of the 11 frames .* first is frame 3, .* 15"):
        build(root)


def test_poses_of_the_imu(writable_kitti360_tree: Path):
    root = writable_kitti360_tree
    expected = build(root)[2]["inputs"]["current_from_history"]
    turned = np.eye(4)
    turned[:3, :3] = tree.RECTIFICATION
    # world_from_imu = world_from_rectified * rectified_from_camera * camera_from_imu.
    poses = tree.camera_poses() @ turned @ np.linalg.inv(tree.IMU_FROM_CAMERA)
    lines = [f"{n} {tree.text_of(pose[:3])}" for n, pose in enumerate(poses)]
    (drive(root) / "cam0_to_world.txt").unlink()
    (drive(root) / "poses.txt").write_text("\n".join(lines))
    found = build(root)[2]["inputs"]["current_from_history"]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    (root / "calibration/calib_cam_to_pose.txt").unlink()
    with pytest.raises(InvalidValueError, match=r"poses of the IMU take .*calib_cam_to_pose\.txt"):
        build(root)


def test_camera_frame_and_constants(writable_kitti360_tree: Path, said: list[str]):
    root = writable_kitti360_tree
    field, exact = (
        build(root, camera_frame=name).get_data_info(0)["cameras"][0]["reference_from_camera"]
        for name in ("field", "rectified")
    )
    np.testing.assert_allclose(field, tree.LIDAR_FROM_CAMERA)
    np.testing.assert_allclose(exact[:3, :3] @ tree.RECTIFICATION, field[:3, :3], atol=1e-12)
    parity = build(root, focal_baseline=331.5326).get_data_info(0)
    assert parity["cameras"][0]["focal_baseline"] == 331.5326
    shutil.rmtree(root / "calibration")
    # The constants are those of the real images.
    for image in drive(root).glob("image_0?/data_rect/*.png"):
        Image.new("RGB", (1408, 376)).save(image)
    said.clear()
    (camera,) = build(root).get_data_info(0)["cameras"]
    assert "perspective.txt" in said[0] and "calib_cam_to_velo.txt" in said[0]
    assert camera["intrinsics"][0, 0] == 552.554261
    assert camera["focal_baseline"] == 328.318735
    with pytest.raises(InvalidValueError, match="camera_frame='rectified' takes R_rect_00"):
        build(root, camera_frame="rectified")


def test_all_missing_files_are_named_together(writable_kitti360_tree: Path):
    root = writable_kitti360_tree
    (drive(root) / "image_00/data_rect/000004.png").unlink()
    (drive(root) / "voxels/000005.invalid").unlink()
    shutil.rmtree(drive(root) / "velodyne")
    with pytest.raises(MissingFileError) as error:
        build(root, inputs={*STEREO, "depth_maps"}, num_history=1, history_stride=1)
    text = str(error.value)
    assert "5 files are missing" in text
    assert "image_00/data_rect/000004.png" in text and "000005.invalid" in text
    assert "velodyne: no such folder, 3 files needed by LoadLidarPoints" in text
    # Without lidar, nobody asks for it; nor for poses where nothing looks back.
    (drive(root) / "cam0_to_world.txt").unlink()
    build(root, inputs={"images", "right"}, labels=False)
    with pytest.raises(MissingFileError, match=r"no cam0_to_world\.txt or poses\.txt in .*0000"):
        build(root, inputs=STEREO, labels=False)


def test_missing_drives_are_named_together(kitti360_tree: Path):
    with pytest.raises(MissingFileError) as error:
        build(kitti360_tree, sequences=None)
    assert "6 of 7 sequences" in str(error.value)
    assert "drive 02: no folder" in str(error.value)
    assert "(drives here: 00, 06, 09)" in str(error.value)


def test_few_right_images_may_be_missing_in_training(
    writable_kitti360_tree: Path, said: list[str], monkeypatch
):
    root = writable_kitti360_tree
    right = drive(root) / "image_01/data_rect/000005.png"
    right.unlink()
    options = {"inputs": {"images", "right"}, "labels": False}
    with pytest.raises(MissingFileError, match="000005"):
        build(root, **options)
    monkeypatch.setattr("htcl.datasets.kitti360._RIGHT_MISSING", 0.4)
    dataset = build(root, **options)
    assert [dataset.get_data_info(k)["frame"] for k in range(2)] == ["000000", "000010"]
    assert dataset.left_out == ["00/000005"]
    assert str(right) in said[0] and "1 of 3 training frames" in said[0]
    # An evaluation is of all frames.
    with pytest.raises(MissingFileError, match="000005"):
        build(root, test_mode=True, **options)
    assert len(build(root, inputs={"images"}, labels=False)) == 3


def test_wrong_sizes_and_unknown_ids_name_the_file(writable_kitti360_tree: Path):
    voxels = drive(writable_kitti360_tree) / "voxels"
    invalid = np.fromfile(voxels / "000000.invalid", np.uint8)
    np.packbits(invalid).tofile(voxels / "000005.invalid")
    dataset = build(writable_kitti360_tree)
    packed, plain = (dataset[k]["data_samples"].gt_voxels.semantics for k in (1, 0))
    assert torch.equal(packed, plain)
    invalid[:100].tofile(voxels / "000000.invalid")
    with pytest.raises(InvalidValueError, match=r"000000\.invalid.* 100 bytes.*262144 or 2097152"):
        dataset[0]
    invalid[7] = 2
    invalid.tofile(voxels / "000000.invalid")
    with pytest.raises(InvalidValueError, match=r"000000\.invalid: .* holds 2, expected 0 and 1"):
        dataset[0]
    raw = np.fromfile(voxels / "000005.label", np.uint16)
    raw[11:13] = 12
    raw.tofile(voxels / "000005.label")
    with pytest.raises(InvalidValueError, match=r"000005\.label.*: 12 \(2 times\).*KITTI-360"):
        dataset[1]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"release of April 2025": 3, "first release": 4}, "3 frames, as in the release of April"),
        ({"first release": 3}, "3 frames, as in the first release"),
        ({"first release": 2566}, "as in no known release (2566 in the first release)"),
        ({}, None),
    ],
)
def test_release_by_number_of_frames(kitti360_tree: Path, said: list[str], counts, expected):
    specification = {"base": "SSCBench-KITTI-360", "release_counts": {"test": counts}}
    build(kitti360_tree, sequences=None, split="test", specification=specification)
    texts = [text for text in said if "release" in text]
    assert [expected in text for text in texts] == ([] if expected is None else [True])
    # Not of chosen drives.
    said.clear()
    build(kitti360_tree, sequences=["06"], split="test", specification=specification)
    assert not any("release" in text for text in said)


def test_pinned_counts():
    """As the benchmark's author states them, and as its page does."""
    counts = {split: set(found.values()) for split, found in KITTI360.release_counts.items()}
    assert counts["train"] == {8483, 8487} and counts["val"] == {1812}
    assert counts["test"] == {2165, 2566} and counts["trainval"] == {8483 + 1812, 8487 + 1812}
    assert KITTI360.splits["test"] == ("09",) and "test" in KITTI360.label_splits


def test_learning_map():
    """Raw ids that are no class are empty, not unknown."""
    raw = np.array([0, 1, 31, 71, 255, 10, 252, 13, 16, 20, 60, 52, 99, 259], dtype=np.uint16)
    expected = [0, 0, 0, 0, 0, 1, 1, 5, 5, 5, 7, 17, 18, 5]
    assert KITTI360.voxels_from_raw(raw, strict=True).tolist() == expected
    ids = [0, 10, 11, 15, 18, 20, 30, 40, 44, 48, 49, 50, 51, 70, 72, 80, 81, 52, 99]
    assert KITTI360.raw_from_voxels(np.arange(19)).tolist() == ids


def test_external_depth(writable_kitti360_tree: Path):
    folder = drive(writable_kitti360_tree) / "depth_00"
    folder.mkdir()
    for frame in range(tree.NUM_FRAMES):
        np.savez(folder / f"{frame:06d}.npz", depth=np.full((17, 64), 12.0, np.float32))
    bins = {"start": 2.0, "stop": 50.0, "step": 1.0}
    steps = [PIPELINE[0], {"type": "LoadDepthPrior", "depth_bins": bins}, PIPELINE[-1]]
    dataset = build(
        writable_kitti360_tree, pipeline=steps, inputs={"images", "depth_prior"}, labels=False
    )
    prior = dataset[0]["inputs"]["depth_prior"]
    assert prior.shape[:2] == (1, 48) and prior[0, :, 2, 5].argmax() == 10


def test_root_one_level_up_and_from_the_environment(kitti360_tree: Path, tmp_path, monkeypatch):
    (tmp_path / "KITTI-360").symlink_to(kitti360_tree)
    assert len(build(tmp_path)) == 3
    monkeypatch.setenv("KITTI360_ROOT", str(tmp_path))
    assert len(DATASETS.build({"type": "KITTI360SSC", "sequences": "00", "pipeline": []})) == 3
    monkeypatch.delenv("KITTI360_ROOT")
    with pytest.raises(InvalidValueError, match="KITTI360_ROOT"):
        DATASETS.build({"type": "KITTI360SSC"})
    with pytest.raises(MissingFileError, match="no folder data_2d_raw"):
        build(tmp_path / "KITTI-360" / "data_2d_raw")
