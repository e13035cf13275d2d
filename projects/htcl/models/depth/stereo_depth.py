"""Depth distribution of the left view from a rectified stereo pair.

Sources: "Hierarchical Neural Architecture Search for Deep Stereo Matching" (X. Cheng et al.,
NeurIPS 2020) for the networks; "Bridging Stereo Geometry and BEV Representation with Reliable
Mutual Interaction for Semantic Scene Completion" (StereoScene, B. Li et al., IJCAI 2024) for
matching on depth planes; "Group-wise Correlation Stereo Network" (X. Guo et al., CVPR 2019).

Shape letters: M image, C channel, H W network image, D depth bin, P depth plane, h w feature map of
the image backbone, h' w' stereo feature map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from htcl.errors import InvalidValueError, check_choice
from htcl.geometry import Camera, DepthBins, PixelRule, aligns_corners, cell_pixels
from htcl.geometry.pixels import resize_shift
from htcl.models.depth.stereo_features import StereoFeatureNet
from htcl.models.depth.stereo_matching import StereoMatchingNet
from htcl.models.interfaces import FrameInputs
from htcl.ops import VolumeSampling, plane_cost_volume

PlaneDepths = Literal["depth_bins", "released"]
# About two grey levels of a normalised image.
_NOISE = 0.035


@MODELS.register_module()
class StereoDepth(BaseModule):
    """Matches the two views of a stereo pair on depth planes.

    A point at depth z has the disparity ``focal_baseline / z`` in original pixels. The camera's
    image transform scales it, then the resize to ``input_size``, then the feature net by 1/3. The
    offsets that these steps add to a column (crop, half pixels) are the same in both views and
    cancel. Images and costs are resized by the camera's pixel rule. Only ``base_width``,
    ``correlation_groups`` and ``patch_volume`` change the shape of a parameter.

    Args:
        depth_bins: ``start``, ``stop``, ``step`` of the depth axis of the result, metres.
        input_size: (H, W) that both images are resized to; multiples of 24.
        max_disparity: Largest disparity of the volume, pixels of the resized image; a multiple of
            24. A third of it is the number of whole disparities and of depth planes.
        base_width: Unit of the networks' widths.
        correlation_groups: 0 concatenates the features of both views and leaves it to the matching
            net to learn what agreement is. Otherwise the cost volume holds, for each of so many
            channel groups, the cosine between the centred features of the two views: it shows
            matches before any training, so that a short one gets somewhere.
        patch_volume: Config of a :class:`~htcl.models.volumes.PatchVolume`, which adds a channel to
            the volume and knows matches to a fraction of a feature column without learning; its
            stride is that of the features. None does without.
        plane_depths: ``depth_bins`` spreads the planes over the depth axis so that each bin holds
            its own depth; ``released`` puts plane k = 1 .. P at k metres whatever the bins mean.
        disparity_scale: ``geometry`` derives the factor from original pixels to feature columns
            from the images; a number is taken as that factor (released: 0.25).
        volume_sampling: ``exact`` samples the disparity volume at the planes' disparities,
            ``released`` beside them, see :func:`~htcl.ops.cost_volume.plane_cost_volume`.
        init_cfg: See mmengine.

    Raises:
        InvalidValueError: For sizes, values or groups that are not as described.
    """

    required_inputs: ClassVar[frozenset[str]] = frozenset({"right"})

    def __init__(
        self,
        depth_bins: DepthBins | Mapping[str, float],
        input_size: tuple[int, int] = (288, 960),
        max_disparity: int = 192,
        base_width: int = 8,
        correlation_groups: int = 0,
        patch_volume: Mapping[str, Any] | None = None,
        plane_depths: PlaneDepths = "depth_bins",
        disparity_scale: float | Literal["geometry"] = "geometry",
        volume_sampling: VolumeSampling = "exact",
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        multiple = StereoFeatureNet.stride * StereoMatchingNet.size_multiple
        if any(n <= 0 or n % multiple for n in (*input_size, max_disparity)):
            raise InvalidValueError(
                f"input_size {tuple(input_size)} and max_disparity {max_disparity} must be "
                f"multiples of {multiple}: features are {StereoFeatureNet.stride} times smaller "
                f"and the matching net needs multiples of {StereoMatchingNet.size_multiple}"
            )
        check_choice("plane_depths", plane_depths, ("depth_bins", "released"))
        check_choice("volume_sampling", volume_sampling, ("exact", "released"))
        if isinstance(disparity_scale, str) and disparity_scale != "geometry":
            raise InvalidValueError(
                f"disparity_scale must be 'geometry' or a number, got {disparity_scale!r}"
            )
        self.depth_bins = DepthBins.build(depth_bins)
        self.input_size = (int(input_size[0]), int(input_size[1]))
        self.num_planes = max_disparity // StereoFeatureNet.stride
        self.plane_depths = plane_depths
        self.disparity_scale = disparity_scale
        self.volume_sampling: VolumeSampling = volume_sampling
        self.features = StereoFeatureNet(base_width)
        if correlation_groups and self.features.out_channels % correlation_groups:
            raise InvalidValueError(
                f"{self.features.out_channels} stereo features (4 * base_width) do not divide into "
                f"correlation_groups={correlation_groups}"
            )
        self.correlation_groups = correlation_groups
        channels = correlation_groups or 2 * self.features.out_channels
        self.patch_volume = None
        if patch_volume is not None:
            self.patch_volume = MODELS.build(
                {"noise": _NOISE, **patch_volume, "stride": StereoFeatureNet.stride}
            )
            channels += self.patch_volume.channels
        self.matching = StereoMatchingNet(channels, base_width)

    def forward(self, frame: FrameInputs, map_size: tuple[int, int]) -> Tensor:
        """Depth distribution (M, D, h, w) of the left views of a frame.

        Raises:
            InvalidValueError: If the frame has no right views.
        """
        if frame.right is None or frame.focal_baseline is None:
            raise InvalidValueError(
                "model.stereo needs the right image of every frame that the network looks at: give "
                "the data set image_3, or set model.stereo and model.depth_fusion to None"
            )
        views = [self.resize(image, frame.camera.pixels) for image in (frame.images, frame.right)]
        features = [self.features(view) for view in views]
        disparity = self.plane_disparities(frame.focal_baseline, frame.camera)
        volume = self.cost_volume(features[0], features[1], disparity)
        if self.patch_volume is not None:
            patches = self.correlate_patches(views[0], views[1], disparity)
            volume = torch.cat([volume, patches.to(volume.dtype)], dim=1)
        return self.distribution(self.matching(volume), frame.camera, map_size)

    def resize(self, image: Tensor, pixels: PixelRule) -> Tensor:
        """Resizes network images (M, 3, H, W) to the stereo input size."""
        corners = aligns_corners(pixels)
        return F.interpolate(image, self.input_size, mode="bilinear", align_corners=corners)

    def cost_volume(self, left: Tensor, right: Tensor, disparity: Tensor) -> Tensor:
        """Volume (M, 2 C or groups, P, h', w') of features (M, C, h', w') at disparities (M, P)."""
        groups, count, sampling = self.correlation_groups, self.num_planes, self.volume_sampling
        if not groups:
            return plane_cost_volume(left, right, disparity, count, sampling)
        with torch.autocast(left.device.type, enabled=False):
            left, right = (_directions(view.float(), groups) for view in (left, right))
            volume = plane_cost_volume(left, right, disparity, count, sampling)
            first, second = volume.unflatten(1, (2, groups, -1)).unbind(dim=1)
            return (first * second).sum(dim=2)

    def correlate_patches(self, left: Tensor, right: Tensor, disparity: Tensor) -> Tensor:
        """Correlation (M, 1, P, h', w') of patches of resized images at disparities (M, P)."""
        if self.patch_volume is None:
            raise ValueError("this StereoDepth was built without patch_volume")
        planes = self.planes(disparity.device)
        # A point at depth z lies product / z pixels further left in the right view, on every plane.
        product = disparity[:, 0] * StereoFeatureNet.stride * planes[0]
        projection = torch.eye(4, device=left.device).repeat(len(left), 1, 1, 1)
        projection[:, 0, 0, 3] = -product.float()
        return self.patch_volume(left, right[:, None], projection, planes)

    def planes(self, device: torch.device | str | None = None) -> Tensor:
        """Returns the depth of each plane, (P,) float64, metres."""
        if self.plane_depths == "released":
            first, last = 1.0, float(self.num_planes)
        else:
            # The resize along depth keeps both ends, hence maps planes to bins linearly.
            first, last = self.depth_bins.start, self.depth_bins.last
        return torch.linspace(first, last, self.num_planes, dtype=torch.float64, device=device)

    def plane_disparities(self, focal_baseline: Tensor, camera: Camera) -> Tensor:
        """Disparities (M, P) float64 of the planes, columns of the stereo feature map."""
        scale: Any = self.disparity_scale
        if scale == "geometry":
            resize = self._resize_factor(camera, axis=1)
            scale = camera.image_transform[:, 0, 0].double() * (resize / StereoFeatureNet.stride)
        return (focal_baseline.double() * scale)[:, None] / self.planes(focal_baseline.device)

    def distribution(self, cost: Tensor, camera: Camera, map_size: tuple[int, int]) -> Tensor:
        """Probabilities (M, D, h, w) of the bins from costs (M, 1, P, h', w') of the planes."""
        released = camera.pixels == "released"
        size = (self.depth_bins.num, *(map_size if released else cost.shape[3:]))
        score = -F.interpolate(cost.float(), size, mode="trilinear", align_corners=True)
        if not released:
            for axis in (0, 1):
                pixels = cell_pixels(camera.size[axis], map_size[axis], "centres", cost.device)
                factor = self._resize_factor(camera, axis)
                resized = pixels * factor + resize_shift(factor, "centres")
                score = _sample_axis(score, resized / StereoFeatureNet.stride, 3 + axis)
        return score.squeeze(1).softmax(dim=1)

    def _resize_factor(self, camera: Camera, axis: int) -> float:
        """Pixels of the resized image a network pixel."""
        length, resized = camera.size[axis], self.input_size[axis]
        return (resized - 1) / (length - 1) if aligns_corners(camera.pixels) else resized / length


def _directions(features: Tensor, groups: int) -> Tensor:
    """Centred features (M, C, h, w), of length one in each channel group."""
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
