from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, init_default_scope

import htcl.datasets.semantic_kitti  # noqa: F401  (registers the data set)
from htcl.datasets.transforms import LoadImages

PIPELINE = [
    {"type": "LoadImages", "input_size": (32, 128)},
    {"type": "LoadVoxelLabels"},
    {"type": "LoadLidarPoints"},
    {"type": "PackInputs"},
]


def build(root: Path, cache: Path | None, **kwargs: Any) -> Any:
    init_default_scope("mmengine")
    options = {"sequences": ["00"], "pipeline": PIPELINE, "num_history": 2, **kwargs}
    folder = None if cache is None else str(cache)
    return DATASETS.build(
        {"type": "SemanticKITTISSC", "data_root": str(root), "sample_cache": folder, **options}
    )


def assert_same(sample: dict[str, Any], other: dict[str, Any]) -> None:
    assert set(sample["inputs"]) == set(other["inputs"])
    for key, value in sample["inputs"].items():
        if key == "cameras":
            assert vars(value).keys() == vars(other["inputs"][key]).keys()
            assert torch.equal(value.intrinsics, other["inputs"][key].intrinsics)
            assert value.size == other["inputs"][key].size
        else:
            assert value.dtype == other["inputs"][key].dtype
            assert torch.equal(value, other["inputs"][key]), key
    one, two = sample["data_samples"], other["data_samples"]
    assert torch.equal(one.gt_voxels.semantics, two.gt_voxels.semantics)
    assert one.metainfo.keys() == two.metainfo.keys()
    assert (one.image_paths, one.image_sizes) == (two.image_paths, two.image_sizes)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Frames whose images were read from their files."""
    seen: list[str] = []
    original = LoadImages.transform

    def transform(self: LoadImages, results: dict[str, Any]) -> dict[str, Any]:
        seen.append(results["frame"])
        return original(self, results)

    monkeypatch.setattr(LoadImages, "transform", transform)
    return seen


def test_second_time_comes_from_the_file(kitti_tree: Path, tmp_path: Path, loads: list[str]):
    plain = [build(kitti_tree, None)[index] for index in range(3)]
    cached = build(kitti_tree, tmp_path / "cache")
    first = [cached[index] for index in range(3)]
    del loads[:]
    second = [cached[index] for index in range(3)]
    # Another process has the same names.
    third = build(kitti_tree, tmp_path / "cache")[2]
    assert loads == []
    assert len(os.listdir(tmp_path / "cache")) == 3
    for expected, *rest in zip(plain, first, second, [plain[0], plain[1], third], strict=True):
        for sample in rest:
            assert_same(sample, expected)


@pytest.mark.parametrize(
    "changes",
    (
        {"pipeline": [{"type": "LoadImages", "input_size": (16, 64)}, *PIPELINE[1:]]},
        {"num_history": 1},
        {"inputs": ["points", "depth_maps"]},
        {"specification": {"base": "SemanticKITTI", "merge": {"vehicle": ["car", "truck"]}}},
    ),
)
def test_other_settings_are_other_files(
    kitti_tree: Path, tmp_path: Path, loads: list[str], changes: dict[str, Any]
):
    build(kitti_tree, tmp_path)[0]
    del loads[:]
    sample = build(kitti_tree, tmp_path, **changes)[0]
    assert loads == ["000000"]
    assert_same(sample, build(kitti_tree, None, **changes)[0])


def test_a_changed_file_is_read_again(writable_kitti_tree: Path, tmp_path: Path, loads: list[str]):
    dataset = build(writable_kitti_tree, tmp_path / "cache")
    before = dataset[0]
    scan = writable_kitti_tree / "sequences/00/velodyne/000000.bin"
    points = np.fromfile(scan, dtype=np.float32).reshape(-1, 4)
    points[:, :3] *= 1.01
    points.tofile(scan)
    os.utime(scan, ns=(0, 1))
    del loads[:]
    after = dataset[0]
    assert loads == ["000000"]
    assert not torch.equal(before["inputs"]["depth_maps"], after["inputs"]["depth_maps"])


def test_changing_a_sample_leaves_the_file(kitti_tree: Path, tmp_path: Path):
    dataset = build(kitti_tree, tmp_path)
    dataset[0]
    dataset[0]["inputs"]["images"].fill_(7)
    assert_same(dataset[0], build(kitti_tree, None)[0])


def test_augmentations_come_after_it(kitti_tree: Path, tmp_path: Path):
    flip = {"type": "BEVAugmentation", "flip_y_prob": 1.0}
    dataset = build(kitti_tree, tmp_path, augmentations=[flip])
    dataset[0]
    plain = build(kitti_tree, None)[0]["data_samples"].gt_voxels.semantics
    assert torch.equal(dataset[0]["data_samples"].gt_voxels.semantics, plain.flip(1))


def test_loading_keeps_nothing(kitti_tree):
    """The memory of a process that loads all samples again and again is flat."""
    dataset = build(kitti_tree, None)

    def resident_mb() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def load(passes: int) -> None:
        for _ in range(passes):
            for index in range(len(dataset)):
                dataset[index]

    load(5)
    before = resident_mb()
    load(20)
    # Labels and images of one sample alone are 2.1 MB: keeping 60 would be over 100.
    assert resident_mb() - before < 30
