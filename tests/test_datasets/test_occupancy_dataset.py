"""A rig of two cameras, and what every data set does alike."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from PIL import Image

import htcl.datasets.transforms  # noqa: F401  (registers the steps of the pipelines)
from htcl.datasets.occupancy_dataset import OccupancyDataset
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.errors import InvalidValueError, MissingFileError
from htcl.geometry import VoxelGrid

GRID = VoxelGrid((-8, -8, -2), 1.0, (16, 16, 4))
SPECIFICATION = replace(
    SEMANTICKITTI,
    name="Two cameras",
    grid=GRID,
    stored_grid=GRID,
    splits={"train": ("a",), "val": ("b",)},
    label_splits=("train",),
)
INTRINSICS = np.array([[40.0, 0, 20, 0], [0, 40, 10, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
FORWARD = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
BACKWARD = np.diag([-1.0, -1, 1, 1]) @ FORWARD
# Frame 4 was lost.
FRAMES = (0, 1, 2, 3, 5, 6, 7)


class TwoCameras(OccupancyDataset):
    """Frames of a front and a back camera without right partners or lidar."""

    def list_sequence(self, sequence: str) -> list:
        folder = Path(self.data_root) / sequence
        if not folder.is_dir():
            raise MissingFileError(f"{folder}: no such sequence")
        return [
            {
                "sequence": sequence,
                "frame": f"{index}",
                "frame_index": index,
                "is_sample": index >= 2,
                "cameras": [
                    {
                        "name": name,
                        "image": str(folder / f"{name}_{index}.png"),
                        "intrinsics": INTRINSICS,
                        "reference_from_camera": reference_from_camera,
                        "world_from_camera": _pose(index),
                    }
                    for name, reference_from_camera in (("front", FORWARD), ("back", BACKWARD))
                ],
                "labels": {"ready": {"1_1": str(folder / f"{index}.npy")}},
            }
            for index in FRAMES
        ]


def _pose(index: int) -> np.ndarray:
    pose = np.eye(4)
    pose[2, 3] = index
    return pose


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rig")
    for sequence in ("a", "b"):
        (root / sequence).mkdir()
        for index in FRAMES:
            for shade, name in enumerate(("front", "back")):
                picture = np.full((20, 40, 3), 100 * shade + index, dtype=np.uint8)
                Image.fromarray(picture).save(root / sequence / f"{name}_{index}.png")
            np.save(root / sequence / f"{index}.npy", np.full(GRID.shape, 9, dtype=np.uint8))
    return root


def build(root: Path, **kwargs) -> TwoCameras:
    init_default_scope("mmengine")
    steps = [{"type": "LoadImages", "input_size": (10, 20), "resize": "nearest"}]
    steps += [{"type": name} for name in ("LoadVoxelLabels", "LoadLidarPoints", "PackInputs")]
    options = {"num_history": 2, "pipeline": steps, "data_root": str(root), **kwargs}
    return TwoCameras(SPECIFICATION, **options)


def test_both_cameras_reach_the_sample(root: Path):
    sample = build(root)[1]
    inputs = sample["inputs"]
    assert set(inputs) == {"images", "cameras", "history", "current_from_history"}
    assert inputs["images"].shape == (2, 3, 10, 20)
    assert inputs["images"][:, 0, 0, 0].tolist() == [3, 103]
    assert inputs["history"].shape == (2, 2, 3, 10, 20)
    assert inputs["history"][:, :, 0, 0, 0].tolist() == [[1, 101], [2, 102]]
    assert inputs["current_from_history"].shape == (2, 2, 4, 4)
    assert inputs["current_from_history"][:, 1, 2, 3].tolist() == [-2, -1]
    cameras = inputs["cameras"]
    assert cameras.shape == (2,)
    # What one camera sees in front, the other sees behind.
    points = torch.tensor([[4.0, 1, 0.5], [-4, -1, 0.5]])
    pixels, depth = cameras.project(points)
    assert depth.tolist() == [[4, -4], [-4, 4]]
    torch.testing.assert_close(pixels[0, 0], pixels[1, 1])
    assert (sample["data_samples"].gt_voxels.semantics == 9).all()
    assert len(sample["data_samples"].image_paths) == 2


def test_history_ends_at_the_start_and_at_gaps(root: Path):
    dataset = build(root, num_history=3)
    found = {}
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        paths = info["cameras"][1]["history"]
        found[info["frame_index"]] = [int(Path(path).stem[-1]) for path in paths]
    assert found == {
        2: [0, 0, 1],
        3: [0, 1, 2],
        # Never across the lost frame.
        5: [5, 5, 5],
        6: [5, 5, 5],
        7: [5, 5, 6],
    }


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ({"history_stride": (1, 2, 4)}, {3: [0, 1, 2], 7: [5, 5, 6]}),
        # The cameras move by 1 m a frame.
        ({"history_metres": 0.7}, {3: [0, 1, 2], 7: [5, 5, 6]}),
        ({"history_metres": 1.5}, {3: [0, 0, 1], 7: [5, 5, 5]}),
        ({"history_metres": 1.5, "history_max_frames": 1}, {3: [2, 2, 2], 7: [6, 6, 6]}),
    ],
)
def test_spacing(root: Path, spacing: dict, expected: dict):
    dataset = build(root, num_history=3, **spacing)
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        if info["frame_index"] in expected:
            paths = info["cameras"][0]["history"]
            assert [int(Path(p).stem[-1]) for p in paths] == expected[info["frame_index"]]


def test_metres_take_the_pose_of_every_frame(root: Path, monkeypatch: pytest.MonkeyPatch):
    def without(self: TwoCameras, sequence: str) -> list:
        frames = listed(self, sequence)
        frames[1]["cameras"][0]["world_from_camera"] = None
        return frames

    listed = TwoCameras.list_sequence
    monkeypatch.setattr(TwoCameras, "list_sequence", without)
    with pytest.raises(
        InvalidValueError, match=r"history_metres=2\.0.*sequence a frame 1 has none"
    ):
        build(root, history_metres=2.0)
    build(root, history_metres=2.0, inputs={"images"})
    build(root)


def test_labels_where_the_split_has_some(root: Path):
    assert "gt_voxels" not in build(root, split="val")[0]["data_samples"]
    assert "gt_voxels" in build(root, split="val", labels=True)[0]["data_samples"]


def test_wishes_that_the_rig_cannot_fulfil(root: Path):
    for name in ("right", "history_right", "depth_maps"):
        with pytest.raises(InvalidValueError, match=f"the input '{name}' is wanted"):
            build(root, inputs={name})
    with pytest.raises(MissingFileError, match=r"1 of 1 sequences.*\n.*no such sequence"):
        build(root, sequences="c")


def test_samples_are_small_between_processes(root: Path):
    sample = build(root, inputs={"images"}, labels=False)[0]
    pixels = sample["inputs"]["images"].numel()
    assert len(pickle.dumps(sample)) < pixels + 10_000
