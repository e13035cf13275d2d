"""Camera motion from the poses of the data set.

Shape letters: B batch, T frame.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmdet3d.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class EgoPose(nn.Module):
    """Takes the motion between frames from the batch instead of estimating it."""

    def forward(self, frames: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Motion between camera frames.

        Args:
            frames: RGB frames (B,T,3,H,W), only counted.
            batch: Holds ``current_from_frame`` (B,T,4,4), rigid motions from the camera frame of
                each frame to the current one, in metres.

        Returns:
            Matrices (B,T-1,4,4) that take a point in the current camera frame to each history
            camera frame, float32.

        Raises:
            KeyError: If the batch has no poses.
            ValueError: If it has another number of poses than of frames.
        """
        if "current_from_frame" not in batch:
            raise KeyError(
                "batch['current_from_frame'] is absent: EgoPose needs the poses of the data set; "
                "load them in the pipeline, or set model.temporal.pose=dict(type='PoseNet')"
            )
        motion = batch["current_from_frame"]
        if motion.shape[1] != frames.shape[1]:
            raise ValueError(
                f"batch['current_from_frame'] has {motion.shape[1]} poses for {frames.shape[1]} "
                "frames: one pose is needed for each frame"
            )
        motion = motion[:, :-1].double()
        rotation = motion[..., :3, :3].transpose(-1, -2)
        inverse = motion.clone()
        inverse[..., :3, :3] = rotation
        inverse[..., :3, 3:] = -rotation @ motion[..., :3, 3:]
        return inverse.float()
