"""Depth from outside of the network, in the place of its stereo branch.

Shape letters: M image, D depth bin, h w feature map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from htcl.errors import InvalidValueError
from htcl.geometry import DepthBins, aligns_corners
from htcl.models.interfaces import FrameInputs


@MODELS.register_module()
class GivenDepth(nn.Module):
    """Passes on the distribution that the data set read from files, at the size of the maps.

    Args:
        depth_bins: ``start``, ``stop``, ``step`` of the depth axis, metres.
    """

    required_inputs: ClassVar[frozenset[str]] = frozenset({"depth_prior"})

    def __init__(self, depth_bins: DepthBins | Mapping[str, float]) -> None:
        super().__init__()
        self.depth_bins = DepthBins.build(depth_bins)

    def forward(self, frame: FrameInputs, map_size: tuple[int, int]) -> Tensor:
        """Depth distribution (M, D, h, w) of a frame.

        Raises:
            InvalidValueError: If the frame has none, or one over other bins.
        """
        prior = frame.depth_prior
        if prior is None or prior.shape[1] != self.depth_bins.num:
            found = "none" if prior is None else f"{prior.shape[1]} bins"
            raise InvalidValueError(
                f"GivenDepth needs a depth_prior over {self.depth_bins.num} bins, found {found}: "
                "put LoadDepthPrior with the network's depth_bins into the pipeline"
            )
        if prior.shape[-2:] == map_size:
            return prior
        corners = aligns_corners(frame.camera.pixels)
        prior = F.interpolate(prior, map_size, mode="bilinear", align_corners=corners)
        return prior / prior.sum(dim=1, keepdim=True)
