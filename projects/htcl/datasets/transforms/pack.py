"""Turns a loaded sample into what the model takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.registry import TRANSFORMS
from mmengine.structures import BaseDataElement

from htcl.datasets.transforms.step import Step

IMAGE_KEYS = ("images", "right", "history", "history_right", "current")
_CAMERAS = ("cameras", "history_cameras")
_TENSORS = (
    "focal_baseline", "current_from_history", "depth_prior", "history_depth_prior",
    "depth_maps", "points", "point_labels", "point_uvd",
)  # fmt: skip
_META = (
    "sequence", "frame", "image_paths", "right_paths", "history_paths", "image_sizes",
    "specification",
)  # fmt: skip


@TRANSFORMS.register_module()
class PackInputs(Step):
    """Packs a sample into tensors and a ``Det3DDataSample``: the contract of a sample.

    ``docs/data_contract.md`` lists what ``inputs`` holds, of which this step takes what the earlier
    ones made; images become (..., 3, H, W). ``data_samples.gt_voxels.semantics`` is the (X, Y, Z)
    uint8 ground truth if the sample has labels, and beside it are its masks by name, bool. The meta
    information says where the sample comes from and by which specification.

    Required Keys: images, cameras, and what else there is.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Packs one sample."""
        inputs = {key: results[key] for key in _CAMERAS if key in results}
        for key in IMAGE_KEYS:
            if key in results:
                planes = np.moveaxis(results[key], -1, -3)
                inputs[key] = torch.from_numpy(np.ascontiguousarray(planes))
        inputs |= {key: torch.as_tensor(results[key]) for key in _TENSORS if key in results}
        sample = Det3DDataSample()
        if "voxel_labels" in results:
            labels = torch.from_numpy(np.ascontiguousarray(results["voxel_labels"]))
            masks = results.get("voxel_masks", {})
            sample.gt_voxels = BaseDataElement(
                semantics=labels,
                **{name: torch.from_numpy(np.ascontiguousarray(m)) for name, m in masks.items()},
            )
        sample.set_metainfo({key: results[key] for key in _META if key in results})
        return {"inputs": inputs, "data_samples": sample}
