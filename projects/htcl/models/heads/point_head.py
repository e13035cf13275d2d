"""Classes of lidar points from the voxel and image features around them (training only).

Shape letters: B batch, N camera, C channel, X Y Z voxel, h w image feature map, P point of one
sample, K class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from htcl.datasets.specification import DatasetSpecification, build_specification
from htcl.errors import check_choice

# Order of a point's coordinates in grid_sample's address (width, height, depth) = (Z, Y, X).
SAMPLE_AXES = {"xyz": (2, 1, 0), "released": (0, 1, 2)}
MIN_DEPTH = 1e-5


@MODELS.register_module()
class PointHead(BaseModule):
    """Classifies lidar points from the voxel and the image features around them.

    The voxel features are sampled at the point, the image features at its projections (the mean
    over the cameras that see the point; zero if none does) and projected to the voxel width. Two
    weights, computed from the voxel sample, mix them; a small perceptron classifies the mixture.

    Args:
        voxel_channels: Channels of the voxel features.
        image_channels: Channels of the image features.
        specification: Says how many classes there are, and the box of the voxels.
        sample_axes: How a point addresses the volume. ``xyz`` is right: x along X. ``released`` is
            what the released network does: its x addresses the Z axis and its z the X axis.
        init_cfg: mmengine weight initialisation.

    Raises:
        InvalidValueError: If ``sample_axes`` is neither of the two.
    """

    training_inputs: ClassVar[frozenset[str]] = frozenset({"points"})

    def __init__(
        self,
        voxel_channels: int,
        image_channels: int,
        specification: DatasetSpecification | str | Mapping[str, Any],
        sample_axes: Literal["xyz", "released"] = "xyz",
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_choice("model.point_head.sample_axes", sample_axes, tuple(SAMPLE_AXES))
        specification = build_specification(specification)
        self.axes = SAMPLE_AXES[sample_axes]
        low, high = torch.tensor(specification.grid.range, dtype=torch.float32).view(2, 3)
        self.low: Tensor
        self.extent: Tensor
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("extent", high - low, persistent=False)
        self.image_proj = nn.Linear(image_channels, voxel_channels)
        width, half, classes = voxel_channels, voxel_channels // 2, specification.num_classes
        self.mixing = nn.Sequential(nn.Linear(width, half), nn.ReLU(True), nn.Linear(half, 2))
        self.classifier = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, classes)
        )

    def forward(
        self,
        voxel: Tensor,
        image_features: Tensor,
        points: Sequence[Tensor],
        point_uvd: Sequence[Tensor],
    ) -> Tensor:
        """Logits (sum of P, K) of the points; features (B, C, X, Y, Z) and (B, N, C', h, w).

        ``points`` has for each sample (P, 3) positions in the voxel grid's frame, metres, P from 0
        on; further columns are ignored. ``point_uvd`` has (N, P, 3): u, v in [-1, 1] across each
        network image, depth in metres.

        Raises:
            ValueError: If the batch sizes or the numbers of points differ.
        """
        self._check(voxel, image_features, points, point_uvd)
        samples = zip(voxel, image_features, points, point_uvd, strict=True)
        pairs = [
            (self._sample_voxel(volume, xyz), self._sample_images(images, uvd))
            for volume, images, xyz, uvd in samples
        ]
        from_voxel = torch.cat([pair[0] for pair in pairs])
        from_image = self.image_proj(torch.cat([pair[1] for pair in pairs]))
        weights = self.mixing(from_voxel).softmax(dim=1)
        return self.classifier(weights[:, :1] * from_voxel + weights[:, 1:] * from_image)

    def _sample_voxel(self, volume: Tensor, xyz: Tensor) -> Tensor:
        """Trilinear samples (P, C) of one volume (C, X, Y, Z); zero outside the grid."""
        xyz = xyz[:, :3].to(device=volume.device, dtype=torch.float32)
        places = (xyz - self.low) / self.extent * 2 - 1
        # A list of axes as an index would be copied to the GPU.
        grid = torch.stack([places[:, axis] for axis in self.axes], dim=1)
        return _sample(volume[None], grid[None])[0]

    def _sample_images(self, images: Tensor, uvd: Tensor) -> Tensor:
        """Means (P, C') over the cameras of samples of (N, C', h, w); zero where none sees."""
        uvd = uvd.to(device=images.device, dtype=torch.float32)
        uv = uvd[..., :2]
        seen = (uvd[..., 2] > MIN_DEPTH) & (uv.abs() < 1).all(dim=2)
        samples = _sample(images, uv) * seen.unsqueeze(2)
        return samples.sum(dim=0) / seen.sum(dim=0).clamp_min(1).unsqueeze(1)

    @staticmethod
    def _check(
        voxel: Tensor, images: Tensor, points: Sequence[Tensor], uvd: Sequence[Tensor]
    ) -> None:
        names = ("voxel", "image_features", "points", "point_uvd")
        sizes = dict(zip(names, map(len, (voxel, images, points, uvd)), strict=True))
        if len(set(sizes.values())) != 1:
            raise ValueError(f"the point head got batches of different sizes: {sizes}")
        for index, (xyz, projected) in enumerate(zip(points, uvd, strict=True)):
            if projected.shape[:2] != (images.shape[1], len(xyz)):
                raise ValueError(
                    f"sample {index} has {len(xyz)} points and {images.shape[1]} images, but "
                    f"point_uvd of shape {tuple(projected.shape)}; expected (N, P, 3)"
                )


def _sample(features: Tensor, grid: Tensor) -> Tensor:
    """Linear interpolation of (N, C, *spatial) at (N, P, spatial axes) -> (N, P, C), float32."""
    count, _, axes = grid.shape
    # Addresses need float32; a 16-bit one would be metres off at the far end of the grid.
    with torch.autocast(features.device.type, enabled=False):
        sampled = F.grid_sample(
            features.float(),
            grid.view(count, *[1] * (axes - 1), -1, axes),
            padding_mode="zeros",
            align_corners=False,
        )
    return sampled.flatten(2).mT
