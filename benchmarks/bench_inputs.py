"""What benchmarks/run.py feeds the networks: noise with random labels, or one sample of a data set.

Shape letters: B batch, N camera, H W image, X Y Z voxel, P point.
"""

from __future__ import annotations

from typing import Any

import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from mmengine.structures import BaseDataElement

from htcl.engine.synthetic_input import synthetic_inputs
from htcl.errors import InvalidValueError
from htcl.models.interfaces import required_inputs

# Lidar returns of a KITTI image: about one pixel in twenty.
_RETURNS, _POINTS = 0.05, 20_000
# Share of the voxels in a mask of what cameras see.
_SEEN = 0.3


def to_device(value: Any, device: torch.device) -> Any:
    """A batch, or a part of one, on another device."""
    if isinstance(value, dict):
        return {key: to_device(entry, device) for key, entry in value.items()}
    if isinstance(value, list):
        return [to_device(entry, device) for entry in value]
    # Tensors, cameras and data samples all know how.
    return value.to(device)


def synthetic_batch(
    model: Any, cfg: Config, cameras: int, training: bool, batch: int = 1
) -> dict[str, Any]:
    """Noise of the config's size, with labels, depths and points at random for a training.

    Args:
        model: The network.
        cfg: Its config.
        cameras: Cameras of the sample, N.
        training: Whether targets are needed.
        batch: Samples, B, all with the same targets.

    Returns:
        Arguments of the network, on the CPU: ``inputs`` and ``data_samples``.
    """
    size = tuple(cfg.input_size)
    inputs: dict[str, Any] = dict(synthetic_inputs(model, size, batch, cameras))
    sample = Det3DDataSample()
    if not training:
        return {"inputs": inputs, "data_samples": batch * [sample]}
    generator = torch.Generator().manual_seed(1)
    specification = model.specification
    classes = specification.num_classes

    labels = torch.randint(classes + 1, specification.grid.shape, generator=generator)
    labels[labels == classes] = specification.ignore_index
    voxels = {"semantics": labels.to(torch.uint8)}
    if mask := cfg.model.get("label_mask"):
        voxels[mask] = torch.rand(labels.shape, generator=generator) < _SEEN
    sample.gt_voxels = BaseDataElement(**voxels)
    depths = 2 + 48 * torch.rand(1, cameras, *size, generator=generator)
    returns = torch.rand(depths.shape, generator=generator) < _RETURNS
    inputs["depth_maps"] = (depths * returns).expand(batch, -1, -1, -1).clone()
    low, high = torch.tensor(specification.grid.range, dtype=torch.float32).view(2, 3)
    inputs["points"] = batch * [low + (high - low) * torch.rand(_POINTS, 3, generator=generator)]
    labels = torch.randint(1, classes, (_POINTS,), generator=generator)
    inputs["point_labels"] = batch * [labels]
    places = 2 * torch.rand(cameras, _POINTS, 3, generator=generator) - 1
    places[..., 2] = 2 + 48 * (places[..., 2] + 1) / 2
    inputs["point_uvd"] = batch * [places]
    return {"inputs": inputs, "data_samples": batch * [sample]}


def training_dataset(cfg: Config) -> Any:
    """The training data set of a config, which loads what the network needs in a training."""
    inputs = required_inputs(cfg.model, training=True)
    return DATASETS.build({**cfg.train_dataloader.dataset, "inputs": inputs, "check_files": False})


def index_of(dataset: Any, frame: str) -> int:
    """Place of a frame, such as 000005; the first one's for ''.

    Raises:
        InvalidValueError: If there is no such labelled frame.
    """
    names = [dataset.get_data_info(index)["frame"] for index in range(len(dataset))]
    if frame and frame not in names:
        raise InvalidValueError(f"--frame {frame}: no labelled frame; there are {names[:8]}")
    return names.index(frame) if frame else 0


def real_batch(model: Any, cfg: Config, frame: str, batch: int = 1) -> dict[str, Any]:
    """One sample of the training data, alone or several times.

    Args:
        model: The network, on its device.
        cfg: Its config, with the data set's root and sequence.
        frame: Name of a labelled frame, '' for the first.
        batch: How many times it is in the batch, B.

    Returns:
        Arguments of the network, on its device.
    """
    dataset = training_dataset(cfg)
    sample = dataset[index_of(dataset, frame)]
    return model.data_preprocessor(pseudo_collate(batch * [sample]), training=True)
