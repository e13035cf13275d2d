"""HTCL: camera-based 3D semantic scene completion with hierarchical temporal context.

After Li, Deng, Zhang, Liang, Du, Jin, Zeng, "Hierarchical Temporal Context Learning for Camera-
based Semantic Scene Completion", ECCV 2024.

Shape letters: B batch, T frame, C channel, H W image, h w image feature map, D depth bin, X Y Z
    voxel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from mmdet3d.models.segmentors.base import Base3DSegmentor
from mmdet3d.registry import MODELS
from mmdet3d.structures import Det3DDataSample
from mmengine.structures import BaseDataElement
from torch import Tensor

from htcl.models.depth.camera_vector import camera_vector

Config = dict[str, Any]


@dataclass
class SceneFeatures:
    """What :meth:`HTCL.extract_feat` hands to the head and the losses.

    Attributes:
        voxel: Fused voxel features (B, C, X, Y, Z).
        temporal_voxel: Voxel features of the history alone (B, C, X, Y, Z), None without a temporal
            module.
        image: Image features (B, C, h, w) of the current left frame.
        depth_prob: Probability of each depth bin (B, D, h, w).
        affinity: Pattern affinity of the history (B, 1, D, h, w), None without a temporal module.
        unfused_depth: What ``depth_prob`` was made from, by name, all like it: ``mono`` and
            ``stereo`` with stereo, ``current`` (without history) if the history corrected it.
    """

    voxel: Tensor
    temporal_voxel: Tensor | None
    image: Tensor
    depth_prob: Tensor
    affinity: Tensor | None
    unfused_depth: dict[str, Tensor]


@MODELS.register_module()
class HTCL(Base3DSegmentor):
    """The whole network; every part is built from its config and may be exchanged there.

    Leaving out ``stereo`` gives the monocular network, leaving out ``temporal`` the one without
    history.

    Args:
        img_backbone: Image backbone, left image (B, 3, H, W) -> feature pyramid.
        img_neck: Pyramid -> one map (B, C, H/8, W/8).
        depth_net: Camera-aware net, map -> depth logits and context.
        view_transformer: Lifts image features into the voxel grid.
        voxel_encoder: 3D backbone.
        voxel_neck: 3D feature pyramid network, back to the voxel grid's resolution.
        head: Occupancy head.
        grid_size: Output grid (X, Y, Z) of :meth:`predict`.
        stereo: Stereo depth from the left and right image; None for a monocular network.
        depth_fusion: Fuses the stereo and the monocular depth distribution; needed with ``stereo``.
        temporal: Temporal context from the history frames; None for a single frame.
        temporal_fusion: Merges the temporal voxels into the current ones; needed with ``temporal``.
        loss_depth: Supervision of the depth distribution by lidar; None to train without.
        unfused_depth_weight: Weight of ``loss_depth`` on each distribution that the final one is
            made from. 0, as released, supervises the final one alone; a short training then learns
            to do without the stereo branch.
        auxiliary_weight: Weight of the head's losses on the temporal voxels alone (1 in the
            released network, 0 for none).
        data_preprocessor: Collation and normalisation.
        init_cfg: mmengine weight initialisation.

    Raises:
        ValueError: If one part of a pair (stereo and depth_fusion, temporal and temporal_fusion) is
            missing.
    """

    def __init__(
        self,
        img_backbone: Config,
        img_neck: Config,
        depth_net: Config,
        view_transformer: Config,
        voxel_encoder: Config,
        voxel_neck: Config,
        head: Config,
        grid_size: tuple[int, int, int],
        stereo: Config | None = None,
        depth_fusion: Config | None = None,
        temporal: Config | None = None,
        temporal_fusion: Config | None = None,
        loss_depth: Config | None = None,
        unfused_depth_weight: float = 0.0,
        auxiliary_weight: float = 1.0,
        data_preprocessor: Config | None = None,
        init_cfg: Config | list[Config] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        _check_pair("stereo", stereo, "depth_fusion", depth_fusion)
        _check_pair("temporal", temporal, "temporal_fusion", temporal_fusion)
        self.img_backbone = MODELS.build(img_backbone)
        self.img_neck = MODELS.build(img_neck)
        self.depth_net = MODELS.build(depth_net)
        self.stereo = MODELS.build(stereo) if stereo else None
        self.depth_fusion = MODELS.build(depth_fusion) if depth_fusion else None
        self.view_transformer = MODELS.build(view_transformer)
        self.temporal = MODELS.build(temporal) if temporal else None
        self.voxel_encoder = MODELS.build(voxel_encoder)
        self.voxel_neck = MODELS.build(voxel_neck)
        self.temporal_fusion = MODELS.build(temporal_fusion) if temporal_fusion else None
        self.head = MODELS.build(head)
        self.loss_depth = MODELS.build(loss_depth) if loss_depth else None
        self.grid_size = tuple(grid_size)
        self.unfused_depth_weight = unfused_depth_weight
        self.auxiliary_weight = auxiliary_weight

    def extract_feat(self, batch_inputs: dict[str, Any]) -> SceneFeatures:
        """Images and calibration -> voxel features.

        Args:
            batch_inputs: The preprocessor's batch (``docs/data_contract.md``).

        Returns:
            The features for head and losses.
        """
        image = self.extract_image(batch_inputs["left"])
        depth_prob, context, unfused_depth = self.estimate_depth(image, batch_inputs)
        cells = self.view_transformer.index(batch_inputs)
        history = temporal_voxel = affinity = None
        if self.temporal is not None:
            history, affinity, depth_score = self.temporal(
                batch_inputs["frames"], batch_inputs, image.shape[-2:], details=True
            )
            if depth_score is not None:
                unfused_depth = {**unfused_depth, "current": depth_prob}
                # The bound keeps a bin that the current frame rules out reachable.
                logits = depth_prob.float().clamp_min(1e-4).log() + depth_score
                depth_prob = logits.softmax(dim=1)
        voxel = self.view_transformer.splat(depth_prob, context, cells)
        voxel = self.voxel_neck(self.voxel_encoder(voxel))
        if history is not None:
            temporal_voxel = self.temporal.refine_voxels(self.view_transformer.pool(history, cells))
            voxel = self.temporal_fusion(voxel, temporal_voxel)
        return SceneFeatures(voxel, temporal_voxel, image, depth_prob, affinity, unfused_depth)

    def extract_image(self, left: Tensor) -> Tensor:
        """Current left image (B, 3, H, W), normalised -> features (B, C, h, w)."""
        features = self.img_neck(self.img_backbone(left))
        return features[0] if isinstance(features, list | tuple) else features

    def estimate_depth(
        self, image: Tensor, batch_inputs: dict[str, Any]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Depth distribution of each image cell, from one camera and, where configured, from two.

        Args:
            image: Image features (B, C, h, w).
            batch_inputs: The batch.

        Returns:
            Probability of each depth bin (B, D, h, w), context features (B, C, h, w), and the
            distributions before the fusion by name.
        """
        camera = camera_vector(
            batch_inputs["intrinsics_left"],
            batch_inputs["pixel_transform"],
            batch_inputs["lidar_from_camera"],
            batch_inputs["augmented_from_lidar"],
        )
        depth_logits, context = self.depth_net(image, camera)
        mono = depth_logits.softmax(dim=1)
        if self.stereo is None:
            return mono, context, {}
        stereo = self.stereo(
            batch_inputs["left"],
            batch_inputs["right"],
            batch_inputs["focal_baseline"],
            batch_inputs["pixel_transform"][:, 0, 0],
            image.shape[-2:],
        )
        return self.depth_fusion(stereo, mono), context, {"mono": mono, "stereo": stereo}

    def loss(
        self, batch_inputs: dict[str, Any], batch_data_samples: list[Det3DDataSample]
    ) -> dict[str, Tensor]:
        """All training losses, and the training IoU of the fused head.

        Args:
            batch_inputs: The batch, with ``depth_map`` and points.
            batch_data_samples: Samples with ``gt_voxels``.

        Returns:
            Losses by name; those of the temporal voxels alone carry the prefix ``temporal_``.
        """
        features = self.extract_feat(batch_inputs)
        losses = self.head.loss(features.voxel, batch_inputs, batch_data_samples, features.image)
        if self.loss_depth is not None:
            losses |= self._depth_losses(features, batch_inputs["depth_map"])
        if features.temporal_voxel is not None and self.auxiliary_weight > 0:
            auxiliary = self.head.loss(
                features.temporal_voxel, batch_inputs, batch_data_samples, features.image
            )
            for name, value in auxiliary.items():
                weight = self.auxiliary_weight if "loss" in name else 1.0
                losses[f"temporal_{name}"] = value * weight
        return losses

    def _depth_losses(self, features: SceneFeatures, depth_map: Tensor) -> dict[str, Tensor]:
        losses = {"loss_depth": self.loss_depth(features.depth_prob, depth_map)}
        if self.unfused_depth_weight > 0:
            for name, prob in features.unfused_depth.items():
                loss = self.loss_depth(prob, depth_map)
                losses[f"loss_depth_{name}"] = self.unfused_depth_weight * loss
        return losses

    def predict(
        self, batch_inputs: dict[str, Any], batch_data_samples: list[Det3DDataSample]
    ) -> list[Det3DDataSample]:
        """Class of every voxel of the output grid.

        Args:
            batch_inputs: The batch.
            batch_data_samples: Samples to fill.

        Returns:
            The samples with ``pred_voxels.semantics`` (uint8, (X, Y, Z)), ``depth_plane`` (float32
            (h, w), metres: the most probable plane) and, with history, ``temporal_affinity``
            (float32 (h, w): the mean over depth).
        """
        features = self.extract_feat(batch_inputs)
        logits = self.head.predict(features.voxel, self.grid_size)
        semantics = logits.argmax(dim=1).to(torch.uint8)
        depth = self.view_transformer.best_depth(features.depth_prob)
        for index, sample in enumerate(batch_data_samples):
            sample.pred_voxels = BaseDataElement(semantics=semantics[index])
            sample.depth_plane = depth[index]
            if features.affinity is not None:
                sample.temporal_affinity = features.affinity[index, 0].float().mean(dim=0)
        return batch_data_samples

    def _forward(self, batch_inputs: dict[str, Any], batch_data_samples: Any = None) -> Tensor:
        """Logits (B, num_classes, X, Y, Z) at the output grid, without post-processing."""
        return self.head.predict(self.extract_feat(batch_inputs).voxel, self.grid_size)

    def encode_decode(self, batch_inputs: dict[str, Any], batch_data_samples: Any = None) -> Tensor:
        """Same as the plain forward pass; part of mmdet3d's segmentor interface."""
        return self._forward(batch_inputs)


def _check_pair(first: str, first_cfg: Any, second: str, second_cfg: Any) -> None:
    if bool(first_cfg) != bool(second_cfg):
        present, absent = (first, second) if first_cfg else (second, first)
        raise ValueError(f"model.{present} is set but model.{absent} is None: give both or neither")
