"""Rigs of several cameras through the whole network, up to the voxels of all of them.

Shape letters: B batch, N camera, X Y Z voxel.
"""

from __future__ import annotations

import copy

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS

from htcl.geometry import Camera

# Around the car: what a camera sees in front has a place behind.
AROUND = {"point_cloud_range": (-25.6, -25.6, -2.0, 25.6, 25.6, 4.4), "voxel_size": 1.6}
ALONG_N = {"images": 0, "right": 0, "focal_baseline": 0, "history": 1, "current_from_history": 1}


@pytest.fixture(scope="module")
def network_and_sample(load_tiny_config):
    cfg = load_tiny_config()
    dataset = {**cfg.train_dataloader.dataset, "inputs": ("images", "right", "history")}
    dataset["inputs"] += ("current_from_history",)
    sample = DATASETS.build(dataset)[2]
    specification = {"base": "SemanticKITTI", "grid": AROUND}
    torch.manual_seed(0)
    network = MODELS.build({**copy.deepcopy(cfg.model), "specification": specification}).eval()
    # The depth net knows where a camera looks; here it must not, for both to see the same.
    torch.nn.init.zeros_(network.depth_net.camera_norm.weight)
    return network, sample


def with_cameras(sample, cameras: list[Camera]):
    """The sample with all its images once for each camera."""
    inputs = dict(sample["inputs"])
    for key, axis in ALONG_N.items():
        inputs[key] = torch.cat([inputs[key]] * len(cameras), dim=axis)
    inputs["cameras"] = Camera.stack(cameras)
    return {"inputs": inputs, "data_samples": sample["data_samples"]}


def voxels_before_3d(network, sample):
    """What all cameras put into the grid: present features, and the history's."""
    seen = []
    hooks = [
        part.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        for part in (network.voxel_encoder, network.temporal.voxel_hourglass)
    ]
    batch = network.data_preprocessor(pseudo_collate([copy.deepcopy(sample)]))
    with torch.no_grad():
        network(**batch, mode="tensor")
    for hook in hooks:
        hook.remove()
    return seen


def test_camera_that_looks_back(network_and_sample):
    """Its voxels are those of the camera in front, turned by half a turn about the vertical."""
    network, sample = network_and_sample
    front = sample["inputs"]["cameras"][0]
    half_turn = torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0]))
    back = Camera(
        front.intrinsics,
        half_turn @ front.reference_from_camera,
        front.image_transform,
        front.augmentation,
        front.size,
        front.pixels,
    )
    one = voxels_before_3d(network, with_cameras(sample, [front]))
    both = voxels_before_3d(network, with_cameras(sample, [front, back]))
    for alone, together in zip(one, both, strict=True):
        assert alone.abs().sum() > 0
        # Nothing of the camera in front lies behind.
        assert alone[:, :, : alone.shape[2] // 2].abs().sum() == 0
        expected = alone + alone.flip(2, 3)
        torch.testing.assert_close(together, expected, rtol=1e-3, atol=1e-4)


def test_rig_trains_and_predicts(network_and_sample):
    network, sample = network_and_sample
    front = sample["inputs"]["cameras"][0]
    batch = pseudo_collate([with_cameras(sample, [front, front, front])])
    with torch.no_grad():
        (predicted,) = network.test_step(batch)
    assert predicted.pred_voxels.semantics.shape == (32, 32, 4)
    assert predicted.depth_plane.shape == predicted.temporal_affinity.shape == (3, 4, 8)
