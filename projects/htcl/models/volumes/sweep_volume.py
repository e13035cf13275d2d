"""What every matching volume takes and gives.

Shape letters: M image, S source view, C channel, G channel of the volume for each source, D depth
plane, H W map that is warped, h w cell of the volume.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from htcl.ops import Behind


class SweepVolume(nn.Module, ABC):
    """Base of the volumes that a plane sweep makes. They have no parameters.

    Attributes:
        source: What is warped: matching ``features``, or the ``images`` themselves.
        channels: Channels of the volume for each source view, G.
    """

    source: ClassVar[Literal["features", "images"]]
    channels: int = 1

    def forward(
        self,
        current: Tensor,
        sources: Tensor,
        projection: Tensor,
        depths: Tensor,
        behind: Behind = "discard",
    ) -> Tensor:
        """Sweeps all planes: (M, S * G, D, h, w), source-major, float32.

        Args:
            current: Features or images of the current view (M, C, H, W).
            sources: Those of the source views (M, S, C, H, W).
            projection: Matrices (M, S, 4, 4) of :func:`~htcl.ops.sweep_projection` for these maps.
            depths: Depths of the planes along the optical axis (D,), metres.
            behind: See :func:`~htcl.ops.sweep_grid`.

        Raises:
            InvalidValueError: If the volume's settings do not suit the sizes.
        """
        maps = (current.float(), sources.float(), projection.float(), depths.float())
        with torch.autocast(current.device.type, enabled=False):
            return self._sweep(*maps, behind)

    @abstractmethod
    def _sweep(
        self, current: Tensor, sources: Tensor, projection: Tensor, depths: Tensor, behind: Behind
    ) -> Tensor:
        """The volume of float32 tensors, without autocast."""
