"""Camera motion from the poses of the data set.

Shape letters: M image, T frame, H W image.
"""

from __future__ import annotations

from typing import ClassVar

from mmengine.registry import MODELS
from torch import Tensor, nn

from htcl.errors import InvalidValueError


@MODELS.register_module()
class EgoPose(nn.Module):
    """Takes the motion between frames from the batch instead of estimating it."""

    required_inputs: ClassVar[frozenset[str]] = frozenset({"current_from_history"})

    def forward(
        self, current: Tensor, history: Tensor, current_from_history: Tensor | None
    ) -> Tensor:
        """Takes motions (M, T-1, 4, 4), camera frame of each earlier frame -> current one, metres.

        Returns their inverses, float32. Of the images, the history (M, T-1, 3, H, W) is counted.

        Raises:
            InvalidValueError: If there are no poses, or another number of them than of frames.
        """
        if current_from_history is None:
            raise InvalidValueError(
                "the batch has no current_from_history: EgoPose needs the poses of the data set; "
                "give them, or set model.temporal.pose=dict(type='PoseNet')"
            )
        if current_from_history.shape[1] != history.shape[1]:
            raise InvalidValueError(
                f"current_from_history has {current_from_history.shape[1]} poses for "
                f"{history.shape[1]} frames: one pose is needed for each frame"
            )
        motion = current_from_history.double()
        rotation = motion[..., :3, :3].transpose(-1, -2)
        inverse = motion.clone()
        inverse[..., :3, :3] = rotation
        inverse[..., :3, 3:] = -rotation @ motion[..., :3, 3:]
        return inverse.float()
