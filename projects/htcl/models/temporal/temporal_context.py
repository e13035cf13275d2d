"""The temporal branch: from a clip of frames to voxel features of the history.

Li et al., "Hierarchical Temporal Context Learning for Camera-based Semantic Scene Completion" (ECCV
2024).

Shape letters: M image, B batch, T frame, C channel, G channel of the matching volume for each
frame, h w image feature map, D depth bin, X Y Z voxel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal, get_args

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from htcl.errors import InvalidValueError, check_choice
from htcl.geometry import Camera, DepthBins, aligns_corners
from htcl.models.interfaces import HistoryFeatures, HistoryInputs
from htcl.ops.plane_sweep import Behind, released_intrinsics, sweep_projection

Config = Mapping[str, Any]
Intrinsics = Literal["feature", "released"]
SweepMap = Literal["matching", "output"]

_MATCHING: Config = MappingProxyType({"type": "MatchingResNet"})
_POSE: Config = MappingProxyType({"type": "EgoPose"})
_VOLUME: Config = MappingProxyType({"type": "MeanVolume"})
_AFFINITY: Config = MappingProxyType({"type": "PatternAffinity"})
_REFINEMENT: Config = MappingProxyType({"type": "AffinityRefinement"})
_PRE_HOURGLASS: Config = MappingProxyType({"type": "HourglassEncoder", "out_channels": 64})
_VOXEL_HOURGLASS: Config = MappingProxyType({"type": "HourglassEncoder", "out_channels": 384})


@MODELS.register_module()
class TemporalContext(BaseModule):
    """History frames -> matching volume in the view of the present -> voxel features.

    The frames are swept over depth planes of the current view, the volume is refined and weighted
    by its affinity to the current frame, encoded, pooled to voxels and encoded again.

    Args:
        depth_bins: ``start``, ``stop``, ``step`` of the depth axis, metres.
        num_history: Number of history frames, T-1.
        matching: Config of the matching features; not built if neither volume nor affinity needs
            any, and may be None then.
        pose: Config of the source of motion: ``EgoPose`` for poses of the data set, or ``PoseNet``.
        volume: Config of the matching volume, see :mod:`htcl.models.volumes`.
        affinity: Config of the pattern affinity; None does without affinity weights.
        refinement: Config of the refinement of the volume.
        depth_score: Config of a ``DepthScore``, by which the history corrects the depth
            distribution that lifts the image features; None: it reaches the voxels alone.
        pre_hourglass: Config of the encoder of the frustum volume.
        voxel_hourglass: Config of the encoder of the voxels.
        intrinsics: ``feature``: the camera matrices of the swept maps; ``released``: see
            :func:`~htcl.ops.plane_sweep.released_intrinsics`.
        sweep_range: First and last depth of the swept planes, evenly spaced, metres. None sweeps
            the range of the depth bins, on which the volume is pooled afterwards; the release
            sweeps (0, 112).
        num_planes: Number of swept planes; None for as many as there are bins. Otherwise the volume
            is resized along depth, first plane to first bin and last to last.
        sweep_map: Where features are swept: ``matching`` at their own stride, and the volume is
            resized after that; ``output``: the features are resized first, which costs four times
            less at an output stride of 8.
        behind: What becomes of points behind a history camera, see
            :func:`~htcl.ops.plane_sweep.sweep_grid`.
        init_cfg: mmengine weight initialisation.

    Raises:
        InvalidValueError: For unknown names, an impossible number or depth axis, or a part that is
            missing.
    """

    required_inputs: ClassVar[frozenset[str]] = frozenset({"history"})
    depths: Tensor

    def __init__(
        self,
        depth_bins: DepthBins | Mapping[str, float],
        num_history: int = 3,
        matching: Config | None = _MATCHING,
        pose: Config = _POSE,
        volume: Config = _VOLUME,
        affinity: Config | None = _AFFINITY,
        refinement: Config = _REFINEMENT,
        depth_score: Config | None = None,
        pre_hourglass: Config = _PRE_HOURGLASS,
        voxel_hourglass: Config = _VOXEL_HOURGLASS,
        intrinsics: Intrinsics = "feature",
        sweep_range: Sequence[float] | None = None,
        num_planes: int | None = None,
        sweep_map: SweepMap = "matching",
        behind: Behind = "discard",
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if num_history < 1:
            raise InvalidValueError(
                f"num_history={num_history}: at least one history frame is needed; without any, "
                "set model.temporal and model.temporal_fusion to None"
            )
        check_choice("intrinsics", intrinsics, get_args(Intrinsics))
        check_choice("sweep_map", sweep_map, get_args(SweepMap))
        check_choice("behind", behind, get_args(Behind))
        self.num_history = num_history
        self.intrinsics = intrinsics
        self.sweep_map = sweep_map
        self.behind: Behind = behind
        self.depth_bins = DepthBins.build(depth_bins)
        first, last = sweep_range or (self.depth_bins.start, self.depth_bins.last)
        depths = torch.linspace(first, last, num_planes or self.depth_bins.num, dtype=torch.float64)
        self.register_buffer("depths", depths.float(), persistent=False)
        self.volume = _build(volume)
        channels = num_history * self.volume.channels
        self.matching: Any = None
        users = [volume["type"]] if self.volume.source == "features" else []
        users += [] if affinity is None else [affinity["type"]]
        if users:
            if matching is None:
                raise InvalidValueError(
                    f"matching=None, but {' and '.join(users)} needs matching features: give the "
                    "config of a MatchingResNet"
                )
            self.matching = _build(matching)
        self.pose = _build(pose)
        self.affinity = None
        if affinity is not None:
            self.affinity = _build(
                affinity, context_channels=self.matching.channels, volume_channels=channels
            )
        self.refinement = _build(refinement, channels=channels)
        self.pre_hourglass = _build(pre_hourglass, in_channels=channels)
        features = self.pre_hourglass.out_channels
        self.voxel_hourglass = _build(voxel_hourglass, in_channels=features)
        self.depth_score = None
        if depth_score is not None:
            self.depth_score = _build(
                depth_score, volume_channels=channels, feature_channels=features
            )

    def forward(
        self,
        history: HistoryInputs,
        map_size: tuple[int, int],
        pool: Callable[[Tensor], Tensor],
    ) -> HistoryFeatures:
        """Features of the history.

        Args:
            history: Frames, cameras and motions of M images.
            map_size: Size (h, w) of the image feature map.
            pool: Brings frustum features (M, C, D, h, w) to voxels (B, C, X, Y, Z).

        Returns:
            Voxel features (B, C', X, Y, Z), affinity (M, 1, D, h, w) and depth score (M, D, h, w).

        Raises:
            InvalidValueError: If the number of frames is not ``num_history``.
        """
        context, warped = self.warp_history(history, map_size)
        refined = self.refinement(warped)
        affinity = None
        if self.affinity is not None:
            affinity = self.affinity(context, warped)
            refined = affinity * refined
        features = self.pre_hourglass(refined)
        score = None if self.depth_score is None else self.depth_score(warped, features)
        return HistoryFeatures(self.voxel_hourglass(pool(features)), affinity, score)

    def warp_history(
        self, history: HistoryInputs, map_size: tuple[int, int]
    ) -> tuple[Tensor | None, Tensor]:
        """Sees the history at every depth of the current view.

        Args:
            history: As in :meth:`forward`.
            map_size: As in :meth:`forward`.

        Returns:
            Features of the current frame (M, C, h, w), None without matching features, and the
            matching volume (M, (T-1) * G, D, h, w), frame-major.

        Raises:
            InvalidValueError: If the number of frames is not ``num_history``.
        """
        if history.images.shape[1] != self.num_history:
            raise InvalidValueError(
                f"model.temporal has num_history={self.num_history}, but the data set gives "
                f"{history.images.shape[1]} history frames: set both to the same number"
            )
        camera = history.camera
        frames = torch.cat([history.images, history.current[:, None]], dim=1).float() / 255
        motion = self.pose(frames[:, -1], frames[:, :-1], history.current_from_history)
        context, maps = None, frames
        if self.volume.source == "features":
            # The current frame's features are computed once. The released network computes them
            # again for every history frame, which gives the same numbers and only moves the running
            # statistics of its batch norms several times a step.
            maps = self.matching(frames)
            context = _resize(maps[:, -1], map_size, camera)
            if self.sweep_map == "output":
                maps = _resize(maps.flatten(0, 1), map_size, camera).unflatten(0, maps.shape[:2])
        elif self.matching is not None:
            context = _resize(self.matching(frames[:, -1:])[:, 0], map_size, camera)
        projection = self._projection(camera, motion, (maps.shape[-2], maps.shape[-1]))
        warped = self.volume(maps[:, -1], maps[:, :-1], projection, self.depths, self.behind)
        if warped.shape[2] != self.depth_bins.num:
            size = (self.depth_bins.num, *warped.shape[-2:])
            warped = F.interpolate(warped, size, mode="trilinear", align_corners=True)
        # Bilinear slice by slice: the depth axis keeps its planes.
        resized = _resize(warped.flatten(1, 2), map_size, camera)
        return context, resized.unflatten(1, warped.shape[1:3])

    def _projection(self, camera: Camera, motion: Tensor, map_size: tuple[int, int]) -> Tensor:
        """From cells of the current maps of a size to cells of the history's, (M, T-1, 4, 4)."""
        if self.intrinsics == "released":
            intrinsics = released_intrinsics(camera.intrinsics, map_size)
            return sweep_projection(intrinsics, motion, unproject_offset=False)
        return sweep_projection(camera.map_intrinsics(map_size), motion)


def _resize(maps: Tensor, size: tuple[int, int], camera: Camera) -> Tensor:
    """Maps (M, C, h', w') at another size, by the pixel rule of their camera."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size, mode="bilinear", align_corners=aligns_corners(camera.pixels))


def _build(config: Config, **derived: Any) -> Any:
    """Builds a part whose channel counts follow from the others'."""
    return MODELS.build({**config, **derived})
