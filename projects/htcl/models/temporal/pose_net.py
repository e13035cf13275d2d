"""Relative camera motion from a pair of images.

The pose network of Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation" (ICCV
2019), section 3 and supplementary: a ResNet-18 on two stacked images and a small decoder.

Shape letters: M image, T frame, H W image, N image pair.
"""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.backbones import ResNet
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn


def rotation_from_axis_angle(axis_angle: Tensor) -> Tensor:
    """Rotations (N, 3, 3) from axes times angles in radians (N, 3), by the formula of Rodrigues."""
    angle = axis_angle.norm(dim=1, keepdim=True)
    # The small constant keeps the axis finite at zero angle, where it does not matter.
    x, y, z = (axis_angle / (angle + 1e-7)).unbind(dim=1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    axis = torch.stack([x, y, z], dim=1)
    outer = axis[:, :, None] * axis[:, None, :]
    cos, sin = angle.cos()[:, :, None], angle.sin()[:, :, None]
    eye = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return cos * eye + sin * cross + (1 - cos) * outer


def inverse_motion(axis_angle: Tensor, translation: Tensor) -> Tensor:
    """The inverses (N, 4, 4) of rigid motions x -> R x + t, i.e. x -> R^T (x - t).

    R is given as axis times angle in radians (N, 3), the translation t in metres (N, 3).
    """
    rotation = rotation_from_axis_angle(axis_angle).transpose(1, 2)
    top = torch.cat([rotation, -rotation @ translation[:, :, None]], dim=2)
    bottom = torch.eye(4, dtype=top.dtype, device=top.device)[3:].expand(len(top), 1, 4)
    return torch.cat([top, bottom], dim=1)


@MODELS.register_module()
class PoseNet(BaseModule):
    """Estimates the motion of the camera from each history frame to the current one.

    The released network has this net at its random initialisation: it is neither pretrained nor
    trained, though its batch norms run on batch statistics while the rest trains
    (``trainable=False, norm_eval=False``). For useful poses train it, or load weights by
    ``init_cfg``, or take :class:`~htcl.models.temporal.ego_pose.EgoPose`.

    Args:
        channels: Channels of the decoder.
        trainable: Whether the network's losses train it; else it is frozen, without gradients.
        norm_eval: Keeps the batch norms on their running statistics while training.
        output_scale: Multiplies the decoder's output, so that motions start small.
        mean: Subtracted from the images, whose range is 0..1.
        std: Divides the images after that.
        init_cfg: mmengine weight initialisation.
    """

    def __init__(
        self,
        channels: int = 256,
        trainable: bool = False,
        norm_eval: bool = False,
        output_scale: float = 0.01,
        mean: float = 0.45,
        std: float = 0.225,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.trainable = trainable
        self.norm_eval = norm_eval
        self.output_scale = output_scale
        self.mean, self.std = mean, std
        self.encoder = ResNet(
            18, in_channels=6, out_indices=(3,), norm_eval=norm_eval, zero_init_residual=False
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(512, channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            # Two motions of six numbers, of which the second is never read: the decoder's form
            # comes from networks that look at three frames.
            nn.Conv2d(channels, 12, 1),
        )
        if not trainable:
            self.requires_grad_(False)

    def forward(
        self, current: Tensor, history: Tensor, current_from_history: Tensor | None = None
    ) -> Tensor:
        """As :mod:`htcl.models.temporal` says, float32; H and W are at least 32, motions unused."""
        pairs = torch.cat([history, current[:, None].expand_as(history)], dim=2)
        pairs = (pairs - self.mean) / self.std
        with torch.set_grad_enabled(self.trainable and torch.is_grad_enabled()):
            if self.training and not self.norm_eval:
                # One pass for each history frame, so that batch statistics do not mix the frames.
                motion = torch.stack([self._motion(pair) for pair in pairs.unbind(dim=1)], dim=1)
            else:
                motion = self._motion(pairs.flatten(0, 1)).unflatten(0, pairs.shape[:2])
            with torch.autocast(pairs.device.type, enabled=False):
                rotation, translation = motion.float().flatten(0, 1).split(3, dim=1)
                return inverse_motion(rotation, translation).unflatten(0, pairs.shape[:2])

    def _motion(self, pairs: Tensor) -> Tensor:
        """Axis-angle and translation (N, 6) from image pairs (N, 6, H, W)."""
        out = self.decoder(self.encoder(pairs)[0])
        # Two means one after the other, as released: a joint mean rounds differently.
        return self.output_scale * out.mean(dim=3).mean(dim=2)[:, :6]
