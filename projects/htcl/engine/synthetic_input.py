"""A batch with KITTI's geometry and images of noise, to measure networks with.

Shape letters: B batch, T frame, H W image.
"""

from __future__ import annotations

import torch
from mmengine.config import Config
from torch import Tensor, nn

# KITTI's left colour camera (sequence 00) in its 1241 x 376 image, and the lidar that looks along.
_FOCAL, _CENTRE, _IMAGE, _BASELINE = 718.856, (607.193, 185.216), (376, 1241), 0.5323
_LIDAR_FROM_CAMERA = ((0.0, 0, 1, 0.27), (-1, 0, 0, 0), (0, -1, 0, -0.08), (0, 0, 0, 1))


def set_input_size(cfg: Config, size: tuple[int, int]) -> None:
    """Sets the size (H, W) of the network image everywhere in a config.

    Raises:
        ValueError: If it is no multiple of the feature stride.
    """
    view = cfg.model.view_transformer
    stride = view.get("downsample", 8)
    # The deepest map of the image backbone has a 32nd of the size, and is brought back from there.
    if any(side % max(stride, 32) for side in size):
        raise ValueError(f"--size {size[0]} {size[1]}: both must be multiples of {max(stride, 32)}")
    view.input_size = size


def input_size(cfg: Config) -> tuple[int, int]:
    """Size (H, W) of the config's network image."""
    return tuple(cfg.model.view_transformer.input_size)


def synthetic_inputs(model: nn.Module, size: tuple[int, int], batch: int) -> dict[str, Tensor]:
    """Makes a preprocessed batch with KITTI's geometry and images of noise.

    Args:
        model: An HTCL network; it decides which inputs there are.
        size: (H, W) of the network image.
        batch: Number of samples.

    Returns:
        The batch as the data preprocessor gives it, on the CPU.
    """
    height, width = size
    generator = torch.Generator().manual_seed(0)
    scale = width / _IMAGE[1]
    pixel = torch.eye(3)
    pixel[0, 0] = pixel[1, 1] = scale
    pixel[:2, 2] = 0.5 * scale - 0.5
    pixel[1, 2] -= round(_IMAGE[0] * scale) - height
    left = torch.eye(4)
    left[0, 0] = left[1, 1] = _FOCAL
    left[0, 2], left[1, 2] = _CENTRE
    right = left.clone()
    right[0, 3] = -_FOCAL * _BASELINE
    sample = {
        "left": torch.randn(3, height, width, generator=generator),
        "intrinsics_left": left,
        "intrinsics_right": right,
        "pixel_transform": pixel,
        "frames_pixel_transform": pixel,
        "lidar_from_camera": torch.tensor(_LIDAR_FROM_CAMERA, dtype=torch.float32),
        "augmented_from_lidar": torch.eye(4),
        "focal_baseline": torch.tensor(_FOCAL * _BASELINE),
    }
    if model.stereo is not None:
        sample["right"] = torch.randn(3, height, width, generator=generator)
    if model.temporal is not None:
        frames = model.temporal.num_history + 1
        noise = torch.randint(256, (frames, 3, height, width), generator=generator)
        sample["frames"] = noise.to(torch.uint8)
        motion = torch.eye(4).repeat(frames, 1, 1)
        # Half a metre a frame, straight on.
        motion[:, 2, 3] = -0.5 * torch.arange(frames - 1, -1, -1)
        sample["current_from_frame"] = motion
    return {key: value.expand(batch, *value.shape).clone() for key, value in sample.items()}
