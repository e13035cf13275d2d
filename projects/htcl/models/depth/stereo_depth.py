"""Depth distribution of the left view from a rectified stereo pair.

Sources: "Hierarchical Neural Architecture Search for Deep Stereo Matching" (X. Cheng et al.,
NeurIPS 2020) for the networks; "Bridging Stereo Geometry and BEV Representation with Reliable
Mutual Interaction for Semantic Scene Completion" (StereoScene, B. Li et al., IJCAI 2024) for
matching on depth planes; "Group-wise Correlation Stereo Network" (X. Guo et al., CVPR 2019) for the
correlation volume.

Shape letters: B batch, C channel, H W network image, D depth bin, P depth plane, h w feature map of
the image backbone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from mmdet3d.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn import functional as F

from htcl.models.depth.cost_volume import plane_cost_volume
from htcl.models.depth.stereo_features import StereoFeatureNet
from htcl.models.depth.stereo_matching import StereoMatchingNet
from htcl.models.layers.recompute import recompute
from htcl.models.temporal.patch_sweep import PatchSweep
from htcl.models.view_transformers.frustum import FeaturePixels, feature_pixels
from htcl.ops.depth_bins import DepthBins

PlaneDepths = Literal["integer_metres", "depth_bins"]


@MODELS.register_module()
class StereoDepth(BaseModule):
    """Matches the two views of a stereo pair on depth planes.

    A point at depth z has the disparity ``focal_baseline / z`` in original pixels. The resize of
    the network image scales it by ``pixel_scale``, the resize to ``input_size`` by the ratio of
    the image widths, the feature net by 1/3. The offsets that these steps add to a column (crop,
    half pixels) are the same in both views and cancel.

    No parameter's shape depends on any key but ``base_width``, ``correlation_groups`` and
    ``patch_correlation``.

    Args:
        depth_bins: ``start``, ``stop``, ``step`` of the depth axis of the result, metres.
        input_size: (H, W) that both images are resized to; multiples of 24.
        max_disparity: Largest disparity of the volume, pixels of the resized image; a multiple of
            24. A third of it is the number of whole disparities and of depth planes.
        base_width: Unit of the networks' widths.
        correlation_groups: 0 concatenates the features of both views, as released, and leaves it to
            the matching net to learn what agreement is. Otherwise the cost volume holds, for each
            of so many channel groups, the cosine between the centred features of the two views: it
            shows matches before any training, so that a short one gets somewhere.
        patch_correlation: True adds one channel to the volume: the correlation of image patches,
            see :class:`~htcl.models.temporal.patch_sweep.PatchSweep`, which knows matches to a
            fraction of a feature column without learning. False, as released.
        plane_depths: ``depth_bins`` spreads the planes over the depth axis so that each bin of the
            result holds its own depth; ``integer_metres`` puts plane k = 1 .. P at k metres
            whatever the bins mean (released).
        disparity_scale: ``geometry`` derives the factor from original pixels to feature columns
            from the images; a number is taken as that factor (released: 0.25).
        align_corners: Convention of the sampling of the disparity volume: True samples at the
            planes' disparities (the released code under torch 2), False beside them (the released
            code under torch 1.10.1), see :func:`sample_planes_reference`.
        resize_align_corners: Convention of the resize of the images (released: True).
        feature_pixels: Which image point a cell of the result stands for: ``centres`` samples the
            cost where the cell's block of pixels has its middle; ``corners`` resizes the cost map
            corner to corner (released).
        with_cp: Recompute both networks' parts in the backward pass to save memory.
        init_cfg: See mmengine.

    Raises:
        ValueError: If a size is no multiple of 24, a key has an unknown value, or the features do
            not divide into the groups.
    """

    def __init__(
        self,
        depth_bins: DepthBins | Mapping[str, float],
        input_size: tuple[int, int] = (288, 960),
        max_disparity: int = 192,
        base_width: int = 8,
        correlation_groups: int = 0,
        patch_correlation: bool = False,
        plane_depths: PlaneDepths = "depth_bins",
        disparity_scale: float | Literal["geometry"] = "geometry",
        align_corners: bool = True,
        resize_align_corners: bool = False,
        feature_pixels: FeaturePixels = "centres",
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        multiple = StereoFeatureNet.stride * StereoMatchingNet.size_multiple
        if any(n <= 0 or n % multiple for n in (*input_size, max_disparity)):
            raise ValueError(
                f"input_size {tuple(input_size)} and max_disparity {max_disparity} must be "
                f"multiples of {multiple}: features are {StereoFeatureNet.stride} times smaller "
                f"and the matching net needs multiples of {StereoMatchingNet.size_multiple}"
            )
        if plane_depths not in ("integer_metres", "depth_bins"):
            raise ValueError(
                f"plane_depths must be 'integer_metres' or 'depth_bins', got {plane_depths!r}"
            )
        if isinstance(disparity_scale, str) and disparity_scale != "geometry":
            raise ValueError(
                f"disparity_scale must be 'geometry' or a number, got {disparity_scale!r}"
            )
        if feature_pixels not in ("corners", "centres"):
            raise ValueError(
                f"feature_pixels must be 'corners' or 'centres', got {feature_pixels!r}"
            )
        self.depth_bins = DepthBins.build(depth_bins)
        self.input_size = tuple(input_size)
        self.num_planes = max_disparity // StereoFeatureNet.stride
        self.plane_depths = plane_depths
        self.disparity_scale = disparity_scale
        self.align_corners = align_corners
        self.resize_align_corners = resize_align_corners
        self.feature_pixels = feature_pixels
        self.with_cp = with_cp
        self.features = StereoFeatureNet(base_width)
        if correlation_groups and self.features.out_channels % correlation_groups:
            raise ValueError(
                f"{self.features.out_channels} stereo features (4 * base_width) do not divide into "
                f"correlation_groups={correlation_groups}"
            )
        self.correlation_groups = correlation_groups
        channels = correlation_groups or 2 * self.features.out_channels
        self.patch_sweep = None
        if patch_correlation:
            channels += 1
            # The noise is about two grey levels of a normalised image.
            self.patch_sweep = PatchSweep(self.planes(), StereoFeatureNet.stride, noise=0.035)
        self.matching = StereoMatchingNet(channels, base_width, with_cp)

    def forward(
        self,
        left: Tensor,
        right: Tensor,
        focal_baseline: Tensor,
        pixel_scale: Tensor,
        feature_size: tuple[int, int],
    ) -> Tensor:
        """Estimates the depth distribution of the left view.

        Args:
            left: (B, 3, H, W) normalised image.
            right: (B, 3, H, W) normalised image.
            focal_baseline: (B,) focal length times baseline, original pixels times metres.
            pixel_scale: (B,) network pixels an original pixel, along the rows.
            feature_size: (h, w) of the result.

        Returns:
            (B, D, h, w), sums to one over D.
        """
        views = [self.resize(image) for image in (left, right)]
        features = [self.extract(view) for view in views]
        disparity = self.plane_disparities(focal_baseline, pixel_scale, left.shape[-1])
        volume = self.cost_volume(*features, disparity)
        if self.patch_sweep is not None:
            patches = self.correlate_patches(*views, disparity)
            volume = torch.cat([volume, patches.to(volume.dtype)], dim=1)
        cost = self.matching(volume)
        return self.distribution(cost, feature_size, tuple(left.shape[-2:]))

    def resize(self, image: Tensor) -> Tensor:
        """Resizes a network image (B, 3, H, W) to the stereo input size."""
        return F.interpolate(
            image, self.input_size, mode="bilinear", align_corners=self.resize_align_corners
        )

    def extract(self, image: Tensor) -> Tensor:
        """Matching features of a resized image."""
        return recompute(
            self.features, self.features, image, enabled=self.with_cp and self.training
        )

    def cost_volume(self, left: Tensor, right: Tensor, disparity: Tensor) -> Tensor:
        """Returns the volume of features (B, C, h', w'), (B, 2 C or groups, P, h', w').

        Args:
            left: Features of the left view.
            right: Features of the right view.
            disparity: (B, P) feature columns.
        """
        groups = self.correlation_groups
        if not groups:
            return plane_cost_volume(left, right, disparity, self.num_planes, self.align_corners)
        with torch.autocast(left.device.type, enabled=False):
            left, right = (_directions(view.float(), groups) for view in (left, right))
            volume = plane_cost_volume(left, right, disparity, self.num_planes, self.align_corners)
            first, second = volume.unflatten(1, (2, groups, -1)).unbind(dim=1)
            return (first * second).sum(dim=2)

    def correlate_patches(self, left: Tensor, right: Tensor, disparity: Tensor) -> Tensor:
        """Returns the correlation of patches of resized images (B, 3, H, W), (B, 1, P, h', w').

        Args:
            left: Left view.
            right: Right view.
            disparity: (B, P) feature columns.
        """
        # In the right view a point at depth z lies disparity * z / z columns further left, and the
        # product is the same for every plane.
        product = disparity[:, 0] * StereoFeatureNet.stride * self.planes(disparity.device)[0]
        projection = torch.eye(4, device=left.device).repeat(len(left), 1, 1, 1)
        projection[:, 0, 0, 3] = -product.float()
        return self.patch_sweep(left, right[:, None], projection)

    def planes(self, device: torch.device | str | None = None) -> Tensor:
        """Returns the depth of each plane, (P,) float64, metres."""
        if self.plane_depths == "integer_metres":
            first, last = 1.0, float(self.num_planes)
        else:
            # The resize along depth keeps both ends, hence maps planes to bins linearly.
            first, last = self.depth_bins.start, self.depth_bins.last
        return torch.linspace(first, last, self.num_planes, dtype=torch.float64, device=device)

    def plane_disparities(
        self, focal_baseline: Tensor, pixel_scale: Tensor, image_width: int
    ) -> Tensor:
        """Returns the disparity of each plane.

        Args:
            focal_baseline: (B,) original pixels times metres.
            pixel_scale: (B,) network pixels an original pixel.
            image_width: W of the network image, pixels.

        Returns:
            (B, P) float64, columns of the stereo feature map.
        """
        scale: float | Tensor
        if self.disparity_scale == "geometry":
            resize = self._resize_factor(image_width, self.input_size[1])
            scale = pixel_scale.double() * (resize / StereoFeatureNet.stride)
        else:
            scale = self.disparity_scale
        return (focal_baseline.double() * scale)[:, None] / self.planes(focal_baseline.device)

    def distribution(
        self, cost: Tensor, feature_size: tuple[int, int], image_size: tuple[int, int]
    ) -> Tensor:
        """Resamples a cost map to the feature cells and depth bins and normalises it over depth.

        Args:
            cost: (B, 1, P, h', w').
            feature_size: (h, w) of the result.
            image_size: (H, W) of the network image.

        Returns:
            (B, D, h, w).
        """
        cost = cost.float()
        size = (self.depth_bins.num, *feature_size)
        if self.feature_pixels == "corners":
            score = -F.interpolate(cost, size, mode="trilinear", align_corners=True)
        else:
            score = -F.interpolate(
                cost, (size[0], *cost.shape[3:]), mode="trilinear", align_corners=True
            )
            for axis in (0, 1):
                position = self._cost_position(
                    image_size[axis], self.input_size[axis], feature_size[axis], cost.device
                )
                score = _sample_axis(score, position, 3 + axis)
        return score.squeeze(1).softmax(dim=1)

    def _resize_factor(self, length: int, resized: int) -> float:
        """Pixels of the resized image a network pixel."""
        return (resized - 1) / (length - 1) if self.resize_align_corners else resized / length

    def _cost_position(self, length: int, resized: int, count: int, device: torch.device) -> Tensor:
        """Where the middles of the feature cells lie on an axis of the cost map, (count,)."""
        factor = self._resize_factor(length, resized)
        offset = 0.0 if self.resize_align_corners else 0.5 * factor - 0.5
        pixels = feature_pixels(length, count, "centres", device)
        return (pixels * factor + offset) / StereoFeatureNet.stride


def _directions(features: Tensor, groups: int) -> Tensor:
    """Centred features (B, C, h, w), of length one in each channel group."""
    centred = features - features.mean(dim=(2, 3), keepdim=True)
    return F.normalize(centred.unflatten(1, (groups, -1)), dim=2, eps=1e-5).flatten(1, 2)


def _sample_axis(x: Tensor, position: Tensor, axis: int) -> Tensor:
    """Linear interpolation of ``x`` along ``axis`` at fractional positions, clamped to its ends."""
    position = position.clamp(0, x.shape[axis] - 1)
    below = position.floor().long().clamp(max=max(x.shape[axis] - 2, 0))
    weight = (position - below).to(x.dtype)
    weight = weight.reshape([-1] + [1] * (x.dim() - 1 - axis))
    low = x.index_select(axis, below)
    high = x.index_select(axis, (below + 1).clamp(max=x.shape[axis] - 1))
    return torch.lerp(low, high, weight)
