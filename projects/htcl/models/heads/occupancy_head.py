"""Voxel classification head with its losses.

Shape letters: B batch, C channel, X Y Z voxel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmdet3d.registry import MODELS
from mmdet3d.structures import Det3DDataSample
from mmengine.model import BaseModule
from torch import Tensor, nn

from htcl.datasets.labels import CLASS_VOXEL_COUNTS, IGNORE_INDEX
from htcl.evaluation.ssc_confusion import confusion_matrix, ssc_scores
from htcl.losses import (
    class_sums,
    geo_scal_loss,
    inverse_log_frequency,
    lovasz_softmax_loss,
    sem_scal_loss,
    voxel_cross_entropy,
)
from htcl.models.layers.recompute import recompute
from htcl.ops import trilinear_resample

RELEASED_LOSS_WEIGHTS = {
    "voxel_ce": 1.0,
    "voxel_sem_scal": 1.0,
    "voxel_geo_scal": 1.0,
    "voxel_lovasz": 0.0,
    "point_ce": 1.0,
    "point_lovasz": 1.0,
}


@MODELS.register_module()
class OccupancyHead(BaseModule):
    """3x3x3 convolution, group normalisation, ReLU, 1x1x1 convolution to the classes.

    Args:
        in_channels: Channels of the voxel features.
        mid_channels: Channels between the two convolutions.
        num_classes: Classes, the empty class 0 included.
        class_weights: Weights of the voxel cross entropy: ``'inverse_log_frequency'``, the released
            choice (1 / ln of SemanticKITTI's training counts), a list, or None for equal weights.
        loss_weights: Weight by loss name, over the released ones: 1 for ``voxel_ce``,
            ``voxel_sem_scal``, ``voxel_geo_scal``, ``point_ce``, ``point_lovasz``, and 0 for
            ``voxel_lovasz``. A loss of weight 0 is not computed.
        point_supervision: Config of :class:`PointSupervision`; its ``voxel_channels`` and
            ``num_classes`` default to the head's. None to train without points.
        ignore_index: Label of voxels that are not scored.
        subvoxels: Parts (x, y, z) of a feature voxel that get logits of their own, from the
            classifier's channels (sub-pixel convolution, Shi et al., CVPR 2016). (1, 1, 1), as
            released, has one prediction a feature voxel. Coarse voxels with trilinear
            interpolation between them cannot hold a surface as thin as a label voxel.
        loss_stride: The voxel losses see every n-th voxel of the labels along each axis, starting
            at a place that every step chooses at random: n^3 times less work, the same on average.
            1, as released, takes all voxels.
        train_metrics: Also report IoU and mIoU of each training batch, over the same voxels.
        num_groups: Groups of the group normalisation.
        with_cp: Recompute the convolutions in the backward pass (activation checkpointing).
        init_cfg: mmengine weight initialisation.

    Raises:
        ValueError: If ``class_weights`` or ``loss_weights`` is not as described.
    """

    def __init__(
        self,
        in_channels: int = 384,
        mid_channels: int = 192,
        num_classes: int = 20,
        class_weights: str | Sequence[float] | None = "inverse_log_frequency",
        loss_weights: dict[str, float] | None = None,
        point_supervision: dict[str, Any] | None = None,
        ignore_index: int = IGNORE_INDEX,
        subvoxels: tuple[int, int, int] = (1, 1, 1),
        loss_stride: int = 1,
        train_metrics: bool = True,
        num_groups: int = 32,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.subvoxels = tuple(subvoxels)
        self.loss_stride = loss_stride
        self.train_metrics = train_metrics
        self.with_cp = with_cp
        self.loss_weights = _merge_loss_weights(loss_weights)
        self.stem = ConvModule(
            in_channels,
            mid_channels,
            kernel_size=3,
            padding=1,
            conv_cfg={"type": "Conv3d"},
            norm_cfg={"type": "GN", "num_groups": num_groups},
        )
        self.classifier = nn.Conv3d(
            mid_channels, num_classes * math.prod(self.subvoxels), kernel_size=1, bias=False
        )
        self.register_buffer(
            "class_weights", _class_weights(class_weights, num_classes), persistent=False
        )
        self.point_supervision = None
        if point_supervision is not None:
            defaults = {"voxel_channels": in_channels, "num_classes": num_classes}
            self.point_supervision = MODELS.build({**defaults, **point_supervision})

    def forward(self, voxel: Tensor) -> Tensor:
        """Voxel features (B, C, X, Y, Z) -> logits (B, num_classes, X sx, Y sy, Z sz)."""
        return recompute(self, self._classify, voxel, enabled=self.with_cp and self.training)

    def loss(
        self,
        voxel: Tensor,
        batch: dict[str, Any],
        data_samples: Sequence[Det3DDataSample],
        image_features: Tensor,
    ) -> dict[str, Tensor]:
        """Weighted losses of a batch.

        Args:
            voxel: Voxel features (B, C, X, Y, Z).
            batch: With point supervision: ``points``, ``point_labels`` and ``point_uvd``, lists
                with one tensor for each sample.
            data_samples: Samples with ``gt_voxels.semantics``.
            image_features: Features of the left image (B, C', h, w).

        Returns:
            ``loss_<name>`` for each weighted loss, and the training metrics ``iou`` and ``miou``
            (0 to 1).

        Raises:
            KeyError: If a sample has no ground truth or the batch no points.
        """
        target = self._target(data_samples).to(voxel.device)
        size, stride = target.shape[1:], self.loss_stride
        start = torch.randint(stride, (3,)).tolist()
        target = target[(slice(None), *(slice(first, None, stride) for first in start))]
        logits = trilinear_resample(self(voxel), size, start, stride)
        losses = self._voxel_losses(logits, target)
        if self.point_supervision is not None and self._weighs("point_ce", "point_lovasz"):
            points, labels, uvd = _require(batch, "points", "point_labels", "point_uvd")
            losses |= self.point_supervision.loss(voxel, image_features, points, uvd, labels)
        weighted = {
            f"loss_{name}": value * self.loss_weights[name]
            for name, value in losses.items()
            if self._weighs(name)
        }
        return weighted | (self._metrics(logits, target) if self.train_metrics else {})

    def predict(self, voxel: Tensor, grid_size: Sequence[int]) -> Tensor:
        """Logits on the output grid.

        Args:
            voxel: Voxel features (B, C, X, Y, Z).
            grid_size: Output grid.

        Returns:
            (B, num_classes, *grid_size), float32.
        """
        return trilinear_resample(self(voxel), grid_size)

    def _classify(self, voxel: Tensor) -> Tensor:
        logits = self.classifier(self.stem(voxel))
        if math.prod(self.subvoxels) == 1:
            return logits
        parts = logits.unflatten(1, (self.num_classes, *self.subvoxels))
        # (B, C, sx, sy, sz, X, Y, Z) -> each part beside its voxel.
        parts = parts.permute(0, 1, 5, 2, 6, 3, 7, 4)
        return parts.flatten(6, 7).flatten(4, 5).flatten(2, 3)

    def _weighs(self, *names: str) -> bool:
        return any(self.loss_weights[name] != 0 for name in names)

    def _voxel_losses(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        losses = {}
        if self._weighs("voxel_ce", "voxel_sem_scal", "voxel_geo_scal"):
            sums = class_sums(logits, target, self.ignore_index)
            losses["voxel_ce"] = voxel_cross_entropy(sums, self.class_weights)
            losses["voxel_sem_scal"] = sem_scal_loss(sums)
            losses["voxel_geo_scal"] = geo_scal_loss(sums)
        if self._weighs("voxel_lovasz"):
            rows = logits.movedim(1, -1).flatten(0, -2)
            losses["voxel_lovasz"] = lovasz_softmax_loss(rows, target.flatten(), self.ignore_index)
        return losses

    @torch.no_grad()
    def _metrics(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        confusion = confusion_matrix(
            logits.argmax(dim=1), target, self.num_classes, self.ignore_index
        )
        scores = ssc_scores(confusion.cpu().numpy())
        return {
            "iou": logits.new_tensor(scores.completion_iou),
            "miou": logits.new_tensor(scores.mean_iou),
        }

    @staticmethod
    def _target(data_samples: Sequence[Det3DDataSample]) -> Tensor:
        for sample in data_samples:
            if "gt_voxels" not in sample:
                raise KeyError(
                    f"sample {sample.get('sequence')}/{sample.get('frame')} has no gt_voxels; "
                    "load the voxel labels in the training pipeline"
                )
        return torch.stack([sample.gt_voxels.semantics for sample in data_samples])


def _require(batch: dict[str, Any], *keys: str) -> list[Any]:
    missing = [key for key in keys if key not in batch]
    if missing:
        raise KeyError(
            f"the batch has no {', '.join(missing)}, which head.point_supervision needs; load the "
            "lidar points in the training pipeline or set head.point_supervision=None"
        )
    return [batch[key] for key in keys]


def _merge_loss_weights(loss_weights: dict[str, float] | None) -> dict[str, float]:
    unknown = set(loss_weights or ()) - set(RELEASED_LOSS_WEIGHTS)
    if unknown:
        raise ValueError(
            f"unknown loss_weights {sorted(unknown)}; known are {sorted(RELEASED_LOSS_WEIGHTS)}"
        )
    return {**RELEASED_LOSS_WEIGHTS, **(loss_weights or {})}


def _class_weights(choice: str | Sequence[float] | None, num_classes: int) -> Tensor | None:
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice != "inverse_log_frequency":
            raise ValueError(
                f"class_weights is {choice!r}; give 'inverse_log_frequency', a list, or None"
            )
        weights = inverse_log_frequency(CLASS_VOXEL_COUNTS)
    else:
        weights = torch.tensor(choice, dtype=torch.float32)
    if weights.shape != (num_classes,):
        raise ValueError(
            f"{weights.numel()} class_weights for {num_classes} classes; give one for each class"
        )
    return weights
