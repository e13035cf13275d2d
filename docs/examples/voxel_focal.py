"""A loss of one's own: cross entropy that looks at the voxels that are still wrong.

Lin, Goyal, Girshick, He, Dollar, "Focal Loss for Dense Object Detection", ICCV 2017.
"""

from __future__ import annotations

from mmengine.registry import MODELS
from torch import Tensor

from htcl.losses import Loss, VoxelPrediction


@MODELS.register_module()
class VoxelFocal(Loss):
    """Mean of -(1 - p)^gamma log p over the scored voxels; p is the true class's probability.

    Args:
        gamma: 0 is plain cross entropy; the larger, the less an easy voxel counts.
        weight: See :class:`htcl.losses.Loss`.
    """

    on = "voxels"
    default_name = "voxel_focal"

    def __init__(self, gamma: float = 2.0, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.gamma = gamma

    def forward(self, prediction: VoxelPrediction) -> Tensor:
        """Returns a scalar; 0, still a function of the logits, if no voxel is scored."""
        scored = prediction.target != prediction.ignore_index
        target = prediction.target.long().where(scored, 0)
        log_prob = prediction.logits.float().log_softmax(dim=1)
        log_true = log_prob.gather(1, target[:, None])[:, 0]
        loss = -((1 - log_true.exp()) ** self.gamma) * log_true
        return (loss * scored).sum() / scored.sum().clamp_min(1)
