from __future__ import annotations

import pytest
import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.dataset import pseudo_collate

from htcl.geometry import Camera
from htcl.models.data_preprocessor import OccupancyDataPreprocessor


def _camera(width=6):
    eye = torch.eye(4)[None]
    return Camera(eye, eye, torch.eye(3)[None], eye, (4, width))


def _sample(num_points=3, width=6):
    return {
        "images": torch.full((1, 3, 4, width), 110, dtype=torch.uint8),
        "right": torch.full((1, 3, 4, width), 90, dtype=torch.uint8),
        "history": torch.full((2, 1, 3, 4, width), 7, dtype=torch.uint8),
        "cameras": _camera(width),
        "focal_baseline": torch.tensor([380.0]),
        "points": torch.zeros(num_points, 3),
    }


@pytest.fixture
def preprocessor():
    return OccupancyDataPreprocessor(mean=(100, 110, 120), std=(10, 20, 5))


def test_normalises_and_stacks(preprocessor):
    batch = preprocessor({"inputs": [_sample(3), _sample(5)], "data_samples": None})
    inputs = batch["inputs"]
    assert inputs["images"].shape == (2, 1, 3, 4, 6)
    # The channels are (110 - 100) / 10, then (110 - 110) / 20, then (110 - 120) / 5.
    assert inputs["images"][1, 0, :, 0, 0].tolist() == [1, 0, -2]
    assert inputs["right"][0, 0, :, 2, 3].tolist() == [-1, -1, -6]
    assert inputs["cameras"].shape == (2, 1)
    assert inputs["focal_baseline"].tolist() == [[380], [380]]
    assert batch["data_samples"] is None


def test_history_stays_bytes(preprocessor):
    inputs = preprocessor({"inputs": [_sample()]})["inputs"]
    assert inputs["history"].dtype == inputs["current"].dtype == torch.uint8
    assert inputs["history"].shape == (1, 2, 1, 3, 4, 6)
    # Without pictures of its own the present is what the network sees, before it is normalised.
    assert (inputs["current"] == 110).all()
    assert inputs["history_cameras"] is inputs["cameras"]


def test_present_prepared_like_the_history(preprocessor):
    sample = {**_sample(), "current": torch.full((1, 3, 4, 6), 5, dtype=torch.uint8)}
    assert (preprocessor({"inputs": [sample]})["inputs"]["current"] == 5).all()


def test_points_stay_lists(preprocessor):
    points = preprocessor({"inputs": [_sample(3), _sample(5)]})["inputs"]["points"]
    assert [len(cloud) for cloud in points] == [3, 5]


def test_takes_what_pseudo_collate_makes(preprocessor):
    items = [{"inputs": _sample(n), "data_samples": Det3DDataSample()} for n in (2, 4)]
    collated = preprocessor(pseudo_collate(items))
    listed = preprocessor({"inputs": [item["inputs"] for item in items]})
    assert len(collated["data_samples"]) == 2
    for key in ("images", "right", "history", "focal_baseline"):
        assert torch.equal(collated["inputs"][key], listed["inputs"][key])


def test_keeps_its_input(preprocessor):
    sample = _sample()
    preprocessor({"inputs": [sample]})
    assert sample["images"].dtype == torch.uint8
    assert (sample["images"] == 110).all()


def test_has_no_state(preprocessor):
    assert not preprocessor.state_dict()


def test_mono_batch(preprocessor):
    sample = _sample()
    del sample["right"], sample["history"]
    assert set(preprocessor({"inputs": [sample]})["inputs"]) == set(sample)


def test_different_sizes(preprocessor):
    with pytest.raises(
        ValueError, match=r"inputs\['images'\].*\(1, 3, 4, 6\), \(1, 3, 4, 8\).*input_size"
    ):
        preprocessor({"inputs": [_sample(), _sample(width=8)]})


def test_different_keys(preprocessor):
    other = _sample()
    del other["right"]
    with pytest.raises(ValueError, match="sample 1 of the batch has the keys"):
        preprocessor({"inputs": [_sample(), other]})
