"""What the network knows of a scene between its parts.

Shape letters: B batch, M image, C channel, h w image feature map, D depth bin, X Y Z voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from htcl.models.interfaces import HistoryFeatures

# Keeps a depth bin that one witness rules out reachable for another.
_MIN_PROBABILITY = 1e-4


@dataclass(frozen=True)
class DepthEstimate:
    """Depth of every image cell.

    Attributes:
        prob: Probability of each bin (M, D, h, w), by which the features are lifted.
        context: What is lifted (M, C, h, w).
        unfused: What ``prob`` was made from, by name, all like it: ``mono`` and ``stereo`` with
            stereo, ``current`` (without history) if the history corrected it.
    """

    prob: Tensor
    context: Tensor
    unfused: dict[str, Tensor]

    def corrected(self, score: Tensor | None) -> DepthEstimate:
        """Adds a score (M, D, h, w) to the logarithm of the distribution."""
        if score is None:
            return self
        logits = self.prob.float().clamp_min(_MIN_PROBABILITY).log() + score
        unfused = {**self.unfused, "current": self.prob}
        return DepthEstimate(logits.softmax(dim=1), self.context, unfused)


@dataclass(frozen=True)
class SceneFeatures:
    """What :meth:`HTCL.extract_feat` hands to head and losses.

    Attributes:
        voxel: Fused voxel features (B, C, X, Y, Z).
        image: Features (M, C, h, w) of the current images.
        depth: Their depth.
        history: Features of the history, None without a temporal module.
    """

    voxel: Tensor
    image: Tensor
    depth: DepthEstimate
    history: HistoryFeatures | None
