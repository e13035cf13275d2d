"""Supervision of voxel and image features at labelled lidar points (training only).

Shape letters: B batch, C channel, X Y Z voxel, h w image feature map, N points of all samples, n
    points of one sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet3d.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from htcl.losses import lovasz_softmax_loss, point_cross_entropy

# Order of a point's coordinates in grid_sample's (width, height, depth) address. The volume lies as
# (X, Y, Z) = (depth, height, width).
SAMPLE_AXES = {"swapped": (0, 1, 2), "xyz": (2, 1, 0)}
MIN_DEPTH = 1e-5


@MODELS.register_module()
class PointSupervision(BaseModule):
    """Classifies lidar points from the voxel and the image features around them.

    The voxel features are sampled at the point, the image features at its projection (zero where
    the point is behind the camera or outside the image) and projected to the voxel width. Two
    weights, computed from the voxel sample, mix them; a small perceptron classifies the mixture.

    Args:
        voxel_channels: Channels of the voxel features.
        image_channels: Channels of the image features.
        num_classes: Classes, the empty class 0 included.
        point_cloud_range: (x, y, z) of the lower and the upper corner of the voxel grid, metres.
        sample_axes: How a point addresses the volume. ``'xyz'`` is right: x along X. ``'swapped'``
            is what the released network does: its x addresses the Z axis and its z the X axis.
        ignore_index: Label of points that are not scored.
        init_cfg: mmengine weight initialisation.

    Raises:
        ValueError: If ``sample_axes`` or ``point_cloud_range`` is not as described.
    """

    def __init__(
        self,
        voxel_channels: int = 384,
        image_channels: int = 640,
        num_classes: int = 20,
        point_cloud_range: Sequence[float] = (0.0, -25.6, -2.0, 51.2, 25.6, 4.4),
        sample_axes: str = "swapped",
        ignore_index: int = 0,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if sample_axes not in SAMPLE_AXES:
            raise ValueError(f"sample_axes is {sample_axes!r}; choose one of {list(SAMPLE_AXES)}")
        if len(point_cloud_range) != 6 or any(
            low >= high
            for low, high in zip(point_cloud_range[:3], point_cloud_range[3:], strict=True)
        ):
            raise ValueError(
                f"point_cloud_range is {tuple(point_cloud_range)}; expected six numbers, the lower "
                "corner (x, y, z) and then the upper one"
            )
        self.axes = SAMPLE_AXES[sample_axes]
        self.ignore_index = ignore_index
        low, high = torch.tensor(point_cloud_range, dtype=torch.float32).view(2, 3)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("extent", high - low, persistent=False)
        self.image_proj = nn.Linear(image_channels, voxel_channels)
        self.mixing = nn.Sequential(
            nn.Linear(voxel_channels, voxel_channels // 2),
            nn.ReLU(inplace=True),
            nn.Linear(voxel_channels // 2, 2),
        )
        self.classifier = nn.Sequential(
            nn.Linear(voxel_channels, voxel_channels),
            nn.GELU(),
            nn.Linear(voxel_channels, num_classes),
        )

    def forward(
        self,
        voxel: Tensor,
        image_features: Tensor,
        points: Sequence[Tensor],
        point_uvd: Sequence[Tensor],
    ) -> Tensor:
        """Logits of all points of the batch.

        Args:
            voxel: Voxel features (B, C, X, Y, Z).
            image_features: Features of the left image (B, C', h, w).
            points: For each sample (n, 3) positions in the voxel grid's frame, metres; further
                columns are ignored. A sample may have no point.
            point_uvd: For each sample (n, 3): u, v in [-1, 1] across the network image, depth in
                metres.

        Returns:
            (N, num_classes), the samples' points one after the other.

        Raises:
            ValueError: If the batch sizes or the numbers of points differ.
        """
        self._check(voxel, image_features, points, point_uvd)
        samples = zip(voxel, image_features, points, point_uvd, strict=True)
        pairs = [
            (self._sample_voxel(volume, xyz), self._sample_image(image, uvd))
            for volume, image, xyz, uvd in samples
        ]
        from_voxel = torch.cat([pair[0] for pair in pairs])
        from_image = self.image_proj(torch.cat([pair[1] for pair in pairs]))
        weights = self.mixing(from_voxel).softmax(dim=1)
        return self.classifier(weights[:, :1] * from_voxel + weights[:, 1:] * from_image)

    def loss(
        self,
        voxel: Tensor,
        image_features: Tensor,
        points: Sequence[Tensor],
        point_uvd: Sequence[Tensor],
        point_labels: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Point losses, unweighted.

        Args:
            voxel: As in :meth:`forward`.
            image_features: As in :meth:`forward`.
            points: As in :meth:`forward`.
            point_uvd: As in :meth:`forward`.
            point_labels: For each sample (n,) classes.

        Returns:
            ``point_ce`` and ``point_lovasz``; both 0, attached to the graph, without scored points.

        Raises:
            ValueError: If there is not one label for each point.
        """
        logits = self(voxel, image_features, points, point_uvd)
        labels = torch.cat(list(point_labels)).to(logits.device)
        if len(labels) != len(logits):
            raise ValueError(f"{len(logits)} points but {len(labels)} point_labels in the batch")
        return {
            "point_ce": point_cross_entropy(logits, labels, self.ignore_index),
            "point_lovasz": lovasz_softmax_loss(logits, labels, self.ignore_index),
        }

    def _sample_voxel(self, volume: Tensor, xyz: Tensor) -> Tensor:
        """Trilinear samples (n, C) of one volume (C, X, Y, Z); zero outside the grid."""
        xyz = xyz[:, :3].to(device=volume.device, dtype=torch.float32)
        grid = ((xyz - self.low) / self.extent * 2 - 1)[:, self.axes]
        return _sample(volume, grid)

    def _sample_image(self, image: Tensor, uvd: Tensor) -> Tensor:
        """Bilinear samples (n, C') of one map (C', h, w); zero for points that it does not see."""
        uvd = uvd.to(device=image.device, dtype=torch.float32)
        uv = uvd[:, :2]
        seen = (uvd[:, 2] > MIN_DEPTH) & (uv.abs() < 1).all(dim=1)
        return _sample(image, uv) * seen.unsqueeze(1)

    @staticmethod
    def _check(
        voxel: Tensor, image: Tensor, points: Sequence[Tensor], uvd: Sequence[Tensor]
    ) -> None:
        sizes = {
            "voxel": len(voxel),
            "image": len(image),
            "points": len(points),
            "point_uvd": len(uvd),
        }
        if len(set(sizes.values())) != 1:
            raise ValueError(f"point supervision got batches of different sizes: {sizes}")
        for index, (xyz, projected) in enumerate(zip(points, uvd, strict=True)):
            if len(xyz) != len(projected):
                raise ValueError(
                    f"sample {index} has {len(xyz)} points but {len(projected)} rows of point_uvd"
                )


def _sample(features: Tensor, grid: Tensor) -> Tensor:
    """Linear interpolation of (C, *spatial) at n addresses (n, spatial axes) -> (n, C), float32."""
    axes = grid.shape[1]
    # Addresses need float32; a 16-bit one would be metres off at the far end of the grid.
    with torch.autocast(features.device.type, enabled=False):
        sampled = F.grid_sample(
            features.float().unsqueeze(0),
            grid.view(1, *[1] * (axes - 1), -1, axes),
            padding_mode="zeros",
            align_corners=False,
        )
    return sampled.flatten(1).view(features.shape[0], -1).t()
