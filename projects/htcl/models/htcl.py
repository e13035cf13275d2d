"""HTCL: camera-based 3D semantic scene completion with hierarchical temporal context.

After Li, Deng, Zhang, Liang, Du, Jin, Zeng, "Hierarchical Temporal Context Learning for Camera-
based Semantic Scene Completion", ECCV 2024.

Shape letters: B batch, N camera, M = B * N image, T frame, C channel, H W image, h w image feature
map, D depth bin, X Y Z voxel, K class, P point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
from mmdet3d.models.segmentors.base import Base3DSegmentor
from mmdet3d.structures import Det3DDataSample
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from htcl.datasets.specification import DatasetSpecification, build_specification
from htcl.errors import InvalidValueError
from htcl.geometry import DepthBins
from htcl.losses import Loss, VoxelPrediction
from htcl.models.building import build_part
from htcl.models.checkpointing import checkpoint_modules
from htcl.models.fast_layers import exchange_layers
from htcl.models.frames import history_inputs, present_frame
from htcl.models.ground_truth import stack_labels
from htcl.models.interfaces import (
    Batch,
    DepthEstimate,
    FrameInputs,
    HistoryFeatures,
    Present,
    SceneFeatures,
    required_inputs,
)
from htcl.ops import trilinear_resample

Config = Mapping[str, Any]
Samples = list[Det3DDataSample]


@MODELS.register_module()
class HTCL(Base3DSegmentor):
    """The whole network; every part is built from its config and may be exchanged there.

    Leaving out ``stereo`` gives the monocular network, leaving out ``temporal`` the one without
    history. :mod:`htcl.models.interfaces` says what each part takes and gives. Parts whose
    constructor has a parameter ``specification``, ``depth_bins``, ``num_classes``,
    ``ignore_index``, ``empty_class`` or ``class_counts`` get these facts from here.

    Args:
        img_backbone: Image backbone, images (M, 3, H, W) -> feature pyramid.
        img_neck: Pyramid -> one map (M, C, h, w).
        depth_net: Monocular depth estimator, map -> depth logits and context.
        view_transformer: Lifts the features of all cameras into the voxel grid.
        voxel_encoder: 3D backbone.
        voxel_neck: 3D feature pyramid network, back to the voxel grid's resolution.
        head: Occupancy head.
        specification: Classes and output grid, see
            :func:`~htcl.datasets.specification.build_specification`.
        depth_bins: ``start``, ``stop``, ``step`` of the depth axis that all parts share, metres.
        losses: The training losses, each a registered module (:mod:`htcl.losses`).
        stereo: Stereo depth from the left and right image; None for a monocular network.
        depth_fusion: Fuses the stereo and the monocular depth distribution; needed with ``stereo``.
        temporal: Temporal module whose voxels are fused with the current ones; None without.
        temporal_fusion: Merges the temporal voxels into the current ones; needed with ``temporal``.
        point_history: Temporal module whose features are added to the lifted ones of the present;
            None without. Without both, the network sees a single frame.
        point_head: Classes of lidar points, for the losses on points; None trains without.
        boundary_head: Distances to the ends of objects, for the losses on boundaries; not built
            where none of them has a weight.
        unfused_depth_weight: Weight of the depth losses on each distribution that the final one is
            made from. With 0, as released, a short training learns to do without the stereo branch.
        auxiliary_weight: Weight of the voxel and point losses on temporal voxels (released: 1).
        label_stride: The voxel losses see every n-th voxel of the labels along each axis, starting
            at a place that every step chooses at random: n^3 times less work, the same on average.
        label_mask: Name of a mask of the ground truth, such as Occ3D's 'mask_camera': the losses on
            voxels and boundaries see nothing outside of it, as the score does. None: they see all
            voxels with a class, so that what is behind surfaces is learnt too.
        checkpointing: Paths of the modules whose activations are computed again in the backward
            pass, see :func:`~htcl.models.checkpointing.checkpoint_modules`.
        data_preprocessor: Collation and normalisation.
        init_cfg: mmengine weight initialisation.

    Attributes:
        training_observers: Called in :meth:`loss` with the prediction of the fused voxels.

    Raises:
        InvalidValueError: If one part of a pair (stereo and depth_fusion, temporal and
            temporal_fusion) is missing, or losses on points or boundaries have no head.
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
        specification: DatasetSpecification | str | Config,
        depth_bins: DepthBins | Mapping[str, float],
        losses: Sequence[Config] = (),
        stereo: Config | None = None,
        depth_fusion: Config | None = None,
        temporal: Config | None = None,
        temporal_fusion: Config | None = None,
        point_history: Config | None = None,
        point_head: Config | None = None,
        boundary_head: Config | None = None,
        unfused_depth_weight: float = 0.0,
        auxiliary_weight: float = 1.0,
        label_stride: int = 1,
        label_mask: str | None = None,
        checkpointing: Sequence[str] = (),
        data_preprocessor: Config | None = None,
        init_cfg: Config | list[Config] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        _check_pair("stereo", stereo, "depth_fusion", depth_fusion)
        _check_pair("temporal", temporal, "temporal_fusion", temporal_fusion)
        self.specification = build_specification(specification)
        bins = DepthBins.build(depth_bins)
        build = partial(build_part, specification=self.specification, depth_bins=bins)
        # These two may be anybody's classes, whose num_classes means another thing.
        self.img_backbone = MODELS.build(img_backbone)
        self.img_neck = MODELS.build(img_neck)
        self.depth_net = build(depth_net)
        self.stereo = build(stereo)
        self.depth_fusion = build(depth_fusion)
        self.view_transformer = build(view_transformer)
        self.temporal = build(temporal)
        self.point_history = build(point_history)
        self.voxel_encoder = build(voxel_encoder)
        self.voxel_neck = build(voxel_neck)
        self.temporal_fusion = build(temporal_fusion)
        self.head = build(head)
        self.point_head = build(point_head)
        self.losses = nn.ModuleList(build(loss) for loss in losses)
        self.boundary_head = build(boundary_head if self._losses("boundaries") else None)
        for key, on in (("point_head", "points"), ("boundary_head", "boundaries")):
            if getattr(self, key) is None and (headless := self._losses(on)):
                names = [loss.name for loss in headless]
                raise InvalidValueError(
                    f"model.losses has {names}, which need model.{key}: configure it, or take "
                    "these losses out of the list"
                )
        self.unfused_depth_weight = unfused_depth_weight
        self.auxiliary_weight = auxiliary_weight
        self.label_stride = label_stride
        self.label_mask = label_mask
        self.training_observers: list[Callable[[VoxelPrediction], None]] = []
        exchange_layers(self)
        absent = {name for name, part in vars(self).items() if part is None}
        checkpoint_modules(self, [p for p in checkpointing if p.split(".")[0] not in absent])

    @property
    def required_inputs(self) -> frozenset[str]:
        """Names of the inputs that a prediction needs (:func:`.interfaces.required_inputs`)."""
        return required_inputs(self)

    @property
    def num_history(self) -> int:
        """Number of earlier frames that a prediction needs, T - 1."""
        modules = (self.temporal, self.point_history)
        return max((module.num_history for module in modules if module is not None), default=0)

    def extract_feat(self, batch_inputs: Batch) -> SceneFeatures:
        """Images and cameras -> features for head and losses: the network's table of contents."""
        frame = present_frame(batch_inputs)
        image = self.extract_image(frame.images)
        index = self.view_transformer.index(
            batch_inputs["cameras"], (image.shape[-2], image.shape[-1])
        )
        depth = self.estimate_depth(image, frame)
        history, points = self.extract_history(batch_inputs, depth, index)
        if history is not None:
            depth = depth.corrected(history.depth_score)
        voxel = self.view_transformer.splat(depth.prob, depth.context, index)
        if points is not None:
            voxel = voxel + points.lifted
        voxel = self.voxel_neck(self.voxel_encoder(voxel))
        if history is not None:
            voxel = self.temporal_fusion(voxel, history.voxel)
        return SceneFeatures(voxel, image, depth, history, points)

    def extract_image(self, images: Tensor) -> Tensor:
        """Images (M, 3, H, W), normalised -> features (M, C, h, w)."""
        features = self.img_neck(self.img_backbone(images))
        return features[0] if isinstance(features, list | tuple) else features

    def estimate_depth(self, image: Tensor, frame: FrameInputs) -> DepthEstimate:
        """Depth of each cell of the features (M, C, h, w) of a frame, by one witness or two."""
        depth_logits, context = self.depth_net(image, frame.camera)
        mono = depth_logits.softmax(dim=1)
        if self.stereo is None:
            return DepthEstimate(mono, context, {})
        stereo = self.stereo(frame, (image.shape[-2], image.shape[-1]))
        fused = self.depth_fusion(stereo, mono)
        return DepthEstimate(fused, context, {"mono": mono, "stereo": stereo})

    def extract_history(
        self, batch_inputs: Batch, depth: DepthEstimate, index: Any
    ) -> tuple[HistoryFeatures | None, HistoryFeatures | None]:
        """Features of the history by both temporal modules, each None without its module."""
        if self.temporal is None and self.point_history is None:
            return None, None
        inputs = history_inputs(batch_inputs, self.data_preprocessor.normalise)
        present = Present(
            depth=depth,
            cameras=batch_inputs["history_cameras"],
            index=index,
            view_transformer=self.view_transformer,
            describe=lambda frame: self.estimate_depth(self.extract_image(frame.images), frame),
        )
        modules = (self.temporal, self.point_history)
        history, points = (None if m is None else m(inputs, present) for m in modules)
        return history, points

    def loss(self, batch_inputs: Batch, batch_data_samples: Samples) -> dict[str, Tensor]:
        """All training losses by name, those of the temporal voxels alone as ``temporal_...``.

        The batch has ``depth_maps`` and points where losses need them, the samples ``gt_voxels``.
        With losses on depth alone nothing else is computed, nor is the history.
        """
        if not any(self._losses(on) for on in ("voxels", "points", "boundaries")):
            frame = present_frame(batch_inputs)
            depth = self.estimate_depth(self.extract_image(frame.images), frame)
            return self._depth_losses(depth, batch_inputs)
        features = self.extract_feat(batch_inputs)
        target = stack_labels(batch_data_samples, self.label_mask, self.specification.ignore_index)
        target = target.to(features.voxel.device)
        prediction = self.predict_at_labels(features.voxel, target)
        losses = self._scene_losses(features.voxel, prediction, features.image, batch_inputs)
        # After the losses, which keep sums that need a graph.
        with torch.no_grad():
            for observe in self.training_observers:
                observe(prediction)
        losses |= self._boundary_losses(features.voxel, target)
        losses |= self._depth_losses(features.depth, batch_inputs)
        voxel = None if features.history is None else features.history.voxel
        if voxel is not None and self.auxiliary_weight > 0:
            prediction = self.predict_at_labels(voxel, target)
            auxiliary = self._scene_losses(voxel, prediction, features.image, batch_inputs)
            losses |= {f"temporal_{k}": self.auxiliary_weight * v for k, v in auxiliary.items()}
        return losses

    def predict_at_labels(self, voxel: Tensor, target: Tensor) -> VoxelPrediction:
        """Logits of voxels (B, C, X, Y, Z) at labels (B, X', Y', Z'), each or each n-th of them."""
        size, stride, start = target.shape[1:], self.label_stride, self._draw_start()
        target = target[(slice(None), *(slice(first, None, stride) for first in start))]
        logits = self.head(voxel, size, start, stride)
        return VoxelPrediction(logits, target, self.specification.ignore_index)

    def _draw_start(self) -> list[int]:
        """The first of the labels that the losses see, along each axis."""
        stride = self.label_stride
        return torch.randint(stride, (3,)).tolist() if stride > 1 else [0, 0, 0]

    def predict(self, batch_inputs: Batch, batch_data_samples: Samples) -> Samples:
        """Fills the samples with the class of every voxel of the output grid and returns them.

        They get ``pred_voxels.semantics`` (uint8, (X, Y, Z)), ``finite`` (bool, whether all logits
        of these classes are), ``depth_plane`` (the most probable, metres) and, with an affinity,
        its mean ``temporal_affinity``, both float32 (N, h, w), and with trust in points of the
        history ``history_trust``, float32 (N, T-1, h, w).
        """
        features = self.extract_feat(batch_inputs)
        # On a CPU max finds the class several times faster than argmax.
        best = self.logits(features).max(dim=1)
        semantics = best.indices.to(torch.uint8)
        finite = best.values.isfinite().flatten(1).all(dim=1)
        cameras = batch_inputs["cameras"].shape
        depth = self.view_transformer.best_depth(features.depth.prob).unflatten(0, cameras)
        affinity = None if features.history is None else features.history.affinity
        if affinity is not None:
            affinity = affinity[:, 0].float().mean(dim=1).unflatten(0, cameras)
        trust = None if features.points is None else features.points.trust
        if trust is not None:
            trust = trust.float().unflatten(0, cameras)
        for index, sample in enumerate(batch_data_samples):
            sample.pred_voxels = BaseDataElement(semantics=semantics[index])
            sample.finite = finite[index]
            sample.depth_plane = depth[index]
            if affinity is not None:
                sample.temporal_affinity = affinity[index]
            if trust is not None:
                sample.history_trust = trust[index]
        return batch_data_samples

    def _forward(self, batch_inputs: Batch, batch_data_samples: Any = None) -> Tensor:
        """Logits (B, K, X, Y, Z) at the output grid, without post-processing."""
        return self.logits(self.extract_feat(batch_inputs))

    def encode_decode(self, batch_inputs: Batch, batch_data_samples: Any = None) -> Tensor:
        """Same as the plain forward pass; part of mmdet3d's segmentor interface."""
        return self._forward(batch_inputs)

    def logits(self, features: SceneFeatures) -> Tensor:
        """Logits (B, K, X, Y, Z) at the output grid."""
        return self.head(features.voxel, self.specification.grid.shape)

    def _losses(self, on: str) -> list[Loss]:
        """The losses on voxels, points, boundaries or depth that count."""
        losses = cast(Iterable[Loss], self.losses)
        return [loss for loss in losses if loss.on == on and loss.weight != 0]

    def _scene_losses(
        self, voxel: Tensor, prediction: VoxelPrediction, image: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        losses = {
            f"loss_{loss.name}": loss.weight * loss(prediction) for loss in self._losses("voxels")
        }
        if on_points := self._losses("points"):
            image = image.unflatten(0, batch["cameras"].shape)
            logits = self.point_head(voxel, image, batch["points"], batch["point_uvd"])
            labels = torch.cat(list(batch["point_labels"])).to(logits.device)
            for loss in on_points:
                losses[f"loss_{loss.name}"] = loss.weight * loss(logits, labels)
        return losses

    def _boundary_losses(self, voxel: Tensor, labels: Tensor) -> dict[str, Tensor]:
        if not (losses := self._losses("boundaries")):
            return {}
        start, stride = self._draw_start(), self.label_stride
        distance = self.boundary_head(voxel)
        distance = trilinear_resample(distance, labels.shape[1:], start, stride)
        return {
            f"loss_{loss.name}": loss.weight * loss(distance, labels, start, stride)
            for loss in losses
        }

    def _depth_losses(self, depth: DepthEstimate, batch: Batch) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        for loss in self._losses("depth"):
            depth_map = batch["depth_maps"].flatten(0, 1)
            losses[f"loss_{loss.name}"] = loss.weight * loss(depth.prob, depth_map)
            if self.unfused_depth_weight > 0:
                weight = self.unfused_depth_weight * loss.weight
                for name, prob in depth.unfused.items():
                    losses[f"loss_{loss.name}_{name}"] = weight * loss(prob, depth_map)
        return losses


def _check_pair(first: str, first_cfg: Any, second: str, second_cfg: Any) -> None:
    if bool(first_cfg) != bool(second_cfg):
        present, absent = (first, second) if first_cfg else (second, first)
        raise InvalidValueError(
            f"model.{present} is set but model.{absent} is None: give both or neither"
        )
