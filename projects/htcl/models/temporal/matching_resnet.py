"""Features of the video frames for matching between them.

The first stage of a ResNet-18 (He et al., "Deep Residual Learning for Image Recognition", CVPR
2016), as in the matching encoder of Watson et al., "The Temporal Opportunist" (CVPR 2021).

Shape letters: M image, T frame, C channel, H W image.
"""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.backbones import ResNet
from mmengine.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class MatchingResNet(ResNet):
    """Stem and first stage of a ResNet-18: RGB frames -> features of stride 4.

    Args:
        channels: Channels of the features; 64 in an ordinary ResNet-18.
        mean: Subtracted from the images, whose range is 0..1.
        std: Divides the images after that.
        joint_statistics: What the batch norms average over in training. False, as released: each
            frame of the clip has its own pass and statistics. True: one pass over the current and
            the history frames, which is faster. Without training the two agree.
        norm_eval: Keeps the batch norms on their running statistics while training.
        init_cfg: mmengine weight initialisation; for ImageNet weights
            ``dict(type='Pretrained', checkpoint='torchvision://resnet18')``.
    """

    def __init__(
        self,
        channels: int = 64,
        mean: float = 0.45,
        std: float = 0.225,
        joint_statistics: bool = False,
        norm_eval: bool = False,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(
            depth=18,
            stem_channels=channels,
            base_channels=channels,
            num_stages=1,
            strides=(1,),
            dilations=(1,),
            out_indices=(0,),
            norm_eval=norm_eval,
            # mmdet starts each residual branch at zero; the usual ResNet-18 does not.
            zero_init_residual=False,
            init_cfg=init_cfg,
        )
        self.channels = channels
        self.mean, self.std = mean, std
        self.joint_statistics = joint_statistics

    def train(self, mode: bool = True) -> MatchingResNet:
        """Sets the mode; mmdet's own method forgets to return the module."""
        super().train(mode)
        return self

    def forward(self, frames: Tensor) -> Tensor:
        """RGB frames (M, T, 3, H, W) in 0..1 -> features (M, T, C, H/4, W/4)."""
        frames = (frames - self.mean) / self.std
        if self.training and not (self.joint_statistics or self.norm_eval):
            return torch.stack([self._single(frame) for frame in frames.unbind(dim=1)], dim=1)
        return self._single(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])

    def _single(self, images: Tensor) -> Tensor:
        return super().forward(images)[0]
