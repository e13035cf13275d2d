from __future__ import annotations

import pytest
import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.dataset import pseudo_collate

from htcl.models.data_preprocessor import SSCDataPreprocessor


def _sample(num_points=3, width=6):
    return {
        "left": torch.full((3, 4, width), 110, dtype=torch.uint8),
        "right": torch.full((3, 4, width), 90, dtype=torch.uint8),
        "frames": torch.full((2, 3, 4, width), 7, dtype=torch.uint8),
        "intrinsics_left": torch.eye(4),
        "focal_baseline": torch.tensor(380.0),
        "points": torch.zeros(num_points, 3),
    }


@pytest.fixture
def preprocessor():
    return SSCDataPreprocessor(mean=(100, 110, 120), std=(10, 20, 5))


def test_normalises_and_stacks(preprocessor):
    batch = preprocessor({"inputs": [_sample(3), _sample(5)], "data_samples": None})
    inputs = batch["inputs"]
    assert inputs["left"].shape == (2, 3, 4, 6)
    # The channels are (110 - 100) / 10, then (110 - 110) / 20, then (110 - 120) / 5.
    assert inputs["left"][1, :, 0, 0].tolist() == [1, 0, -2]
    assert inputs["right"][0, :, 2, 3].tolist() == [-1, -1, -6]
    assert inputs["intrinsics_left"].shape == (2, 4, 4)
    assert inputs["focal_baseline"].tolist() == [380, 380]
    assert batch["data_samples"] is None


def test_frames_stay_bytes(preprocessor):
    frames = preprocessor({"inputs": [_sample()]})["inputs"]["frames"]
    assert frames.dtype == torch.uint8
    assert frames.shape == (1, 2, 3, 4, 6)


def test_points_stay_lists(preprocessor):
    points = preprocessor({"inputs": [_sample(3), _sample(5)]})["inputs"]["points"]
    assert [len(cloud) for cloud in points] == [3, 5]


def test_takes_what_pseudo_collate_makes(preprocessor):
    items = [{"inputs": _sample(n), "data_samples": Det3DDataSample()} for n in (2, 4)]
    collated = preprocessor(pseudo_collate(items))
    listed = preprocessor({"inputs": [item["inputs"] for item in items]})
    assert len(collated["data_samples"]) == 2
    for key in ("left", "right", "frames", "intrinsics_left"):
        assert torch.equal(collated["inputs"][key], listed["inputs"][key])


def test_keeps_its_input(preprocessor):
    sample = _sample()
    preprocessor({"inputs": [sample]})
    assert sample["left"].dtype == torch.uint8
    assert (sample["left"] == 110).all()


def test_has_no_state(preprocessor):
    assert not preprocessor.state_dict()


def test_mono_batch(preprocessor):
    sample = _sample()
    del sample["right"], sample["frames"]
    assert set(preprocessor({"inputs": [sample]})["inputs"]) == set(sample)


def test_different_sizes(preprocessor):
    with pytest.raises(ValueError, match=r"inputs\['left'\].*\(3, 4, 6\), \(3, 4, 8\).*input_size"):
        preprocessor({"inputs": [_sample(), _sample(width=8)]})


def test_different_keys(preprocessor):
    other = _sample()
    del other["right"]
    with pytest.raises(ValueError, match="sample 1 of the batch has the keys"):
        preprocessor({"inputs": [_sample(), other]})
