"""A batch with KITTI's geometry and images of noise, to measure networks with.

Shape letters: B batch, N camera, T frame, H W image.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.config import Config

from htcl.errors import InvalidValueError
from htcl.geometry import Camera, ImageTransform
from htcl.models.interfaces import Batch

# KITTI's left colour camera (sequence 00) in its 1241 x 376 image, and the lidar that looks along.
_FOCAL, _CENTRE, _IMAGE, _BASELINE = 718.856, (607.193, 185.216), (376, 1241), 0.5323
_LIDAR_FROM_CAMERA = ((0.0, 0, 1, 0.27), (-1, 0, 0, 0), (0, -1, 0, -0.08), (0, 0, 0, 1))
# The deepest map of the image backbone has a 32nd of the size, and is brought back from there.
_STRIDE = 32
# Pixels of a cell of external depth.
_PRIOR_STRIDE = 8


def set_input_size(cfg: Config, size: tuple[int, int]) -> None:
    """Sets the size (H, W) of a config's network image; InvalidValueError if the stride forbids."""
    if any(side % _STRIDE for side in size):
        raise InvalidValueError(f"--size {size[0]} {size[1]}: both must be multiples of {_STRIDE}")
    cfg.input_size = tuple(size)


def synthetic_inputs(
    model: Any, size: tuple[int, int], batch: int = 1, num_cameras: int = 1
) -> Batch:
    """Makes a batch as the data preprocessor gives it, on the CPU.

    Args:
        model: An HTCL network; its ``required_inputs`` decide which inputs there are.
        size: (H, W) of the network image.
        batch: Number of samples, B.
        num_cameras: Cameras of a sample, N; they stand at one place, side by side.
    """
    generator = torch.Generator().manual_seed(0)
    needed, rig = model.required_inputs, (batch, num_cameras)
    intrinsics = torch.eye(4)
    intrinsics[0, 0] = intrinsics[1, 1] = _FOCAL
    intrinsics[:2, 2] = torch.tensor(_CENTRE)
    transform = torch.from_numpy(ImageTransform.fit(_IMAGE, size).matrix).float()
    camera = Camera(
        intrinsics=intrinsics.expand(*rig, 4, 4).clone(),
        reference_from_camera=torch.tensor(_LIDAR_FROM_CAMERA).expand(*rig, 4, 4).clone(),
        image_transform=transform.expand(*rig, 3, 3).clone(),
        augmentation=torch.eye(4).expand(*rig, 4, 4).clone(),
        size=size,
    )
    inputs = Batch(images=torch.randn(*rig, 3, *size, generator=generator), cameras=camera)
    if "right" in needed:
        inputs["right"] = torch.randn(*rig, 3, *size, generator=generator)
        inputs["focal_baseline"] = torch.full(rig, _FOCAL * _BASELINE)
    if "depth_prior" in needed:
        bins = model.stereo.depth_bins.num
        maps = (bins, size[0] // _PRIOR_STRIDE, size[1] // _PRIOR_STRIDE)
        inputs["depth_prior"] = torch.full((*rig, *maps), 1 / bins)
        if "history_depth_prior" in needed:
            past = (batch, model.num_history, num_cameras)
            inputs["history_depth_prior"] = torch.full((*past, *maps), 1 / bins)
    if "history" in needed:
        past = model.num_history
        noise = torch.randint(256, (batch, past + 1, num_cameras, 3, *size), generator=generator)
        noise = noise.to(torch.uint8)
        inputs["history"], inputs["current"] = noise[:, :-1].clone(), noise[:, -1].clone()
        inputs["history_cameras"] = camera
        if "history_right" in needed:
            inputs["history_right"] = noise[:, :-1].flip(-1)
        if "current_from_history" in needed:
            motion = torch.eye(4).repeat(batch, past, num_cameras, 1, 1)
            # Half a metre a frame, straight on.
            motion[..., 2, 3] = -0.5 * torch.arange(past, 0, -1.0)[:, None]
            inputs["current_from_history"] = motion
    return inputs
