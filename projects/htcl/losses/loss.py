"""What every loss of the list ``model.losses`` says of itself."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import nn


class Loss(nn.Module):
    """A term of the training objective; its ``forward`` returns the unweighted scalar.

    The network calls ``forward`` with what ``on`` names:

    * ``voxels``: a :class:`~htcl.losses.VoxelPrediction`;
    * ``points``: logits (P, K) and labels (P,) of lidar points;
    * ``boundaries``: distances (B, 6, x, y, z) and labels, see
      :class:`~htcl.losses.BoundaryDistance`;
    * ``depth``: probabilities (M, D, h, w) and lidar depth (M, H, W), metres, 0 = none.

    Facts of the data set or the network (``num_classes``, ``ignore_index``, ``empty_class``,
    ``class_counts``, ``depth_bins``) reach a loss as arguments of its constructor, by their names.

    Args:
        weight: Factor of its value; a loss of weight 0 is not computed.
        name: Its name in the log, behind ``loss_``; None is the class's ``default_name``.
    """

    on: ClassVar[Literal["voxels", "points", "boundaries", "depth"]]
    default_name: ClassVar[str]

    def __init__(self, weight: float = 1.0, name: str | None = None) -> None:
        super().__init__()
        self.weight = weight
        self.name = name or self.default_name
