"""From a list of samples to a batch on the model's device.

Shape letters: B batch, N camera, T frame, H W image, P point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import MODELS
from torch import Tensor

from htcl.geometry import Camera

# One length per sample, so these stay lists of tensors.
RAGGED_KEYS = ("points", "point_labels", "point_uvd")
# Images that the network sees normalised; the temporal module normalises the history itself.
NORMALISED_KEYS = ("images", "right")


@MODELS.register_module()
class OccupancyDataPreprocessor(BaseDataPreprocessor):
    """Stacks samples of ``docs/data_contract.md`` on the device; normalises the network images.

    Args:
        mean: Per-channel mean of the RGB images, in grey values 0..255.
        std: Per-channel standard deviation, in grey values.
        non_blocking: Copy to the device without waiting; only what the loader pinned comes along
            with the computation.
    """

    def __init__(
        self,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        non_blocking: bool = True,
    ) -> None:
        super().__init__(non_blocking=non_blocking)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Collates ``inputs`` to a :class:`~htcl.models.interfaces.Batch`, beside ``data_samples``.

        ``inputs`` is a dict of lists, as mmengine's ``pseudo_collate`` makes it, or a list of
        dicts, ``data_samples`` a list or None. ``training`` is part of mmengine's interface.

        Raises:
            ValueError: If the samples of a batch have different shapes or keys.
        """
        inputs = data["inputs"]
        if not isinstance(inputs, Mapping):
            inputs = _transpose(inputs)
        batch: dict[str, Any] = {}
        for key, values in self.cast_data(dict(inputs)).items():
            if key in RAGGED_KEYS:
                batch[key] = list(values)
            elif isinstance(values[0], Camera):
                cameras = Camera.stack(values).with_fingerprint()
                batch[key] = cameras.to(self.device, self._non_blocking)
            else:
                batch[key] = _stack(key, values)
        batch = self.complete(batch)
        return {"inputs": batch, "data_samples": self.cast_data(data.get("data_samples"))}

    def complete(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Adds to stacked inputs what follows from the others, and normalises network images."""
        batch = dict(batch)
        if "history" in batch:
            batch.setdefault("current", batch["images"])
            batch.setdefault("history_cameras", batch["cameras"])
        for key in NORMALISED_KEYS:
            if key in batch:
                batch[key] = self.normalise(batch[key])
        return batch

    def normalise(self, images: Tensor) -> Tensor:
        """Grey values (..., 3, H, W) as the network sees images."""
        return (images.to(self.mean.dtype) - self.mean) / self.std


def _transpose(samples: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    keys = set(samples[0])
    for index, sample in enumerate(samples):
        if set(sample) != keys:
            raise ValueError(
                f"sample {index} of the batch has the keys {sorted(sample)}, sample 0 has "
                f"{sorted(keys)}: all samples of a batch must come from the same pipeline"
            )
    return {key: [sample[key] for sample in samples] for key in samples[0]}


def _stack(key: str, values: Sequence[Tensor]) -> Tensor:
    shapes = {tuple(value.shape) for value in values}
    if len(shapes) > 1:
        raise ValueError(
            f"inputs['{key}'] has different shapes within a batch: {sorted(shapes)}; "
            "set one input_size in the pipeline"
        )
    return torch.stack(list(values))
