"""The temporal branch of HTCL (ECCV 2024): from a clip to voxel features of the history.

Shape letters: M image, B batch, T frame, C channel, G channel of the matching volume for each
frame, h w image feature map, D depth bin, X Y Z voxel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal, get_args

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from htcl.errors import InvalidValueError, check_choice
from htcl.geometry import Camera, DepthBins, aligns_corners
from htcl.models.interfaces import HistoryFeatures, HistoryInputs, Present, check_history
from htcl.models.temporal.frame_memory import FrameRecord, RecalledClip
from htcl.ops import Behind, released_intrinsics, sweep_projection

Config = Mapping[str, Any]
Intrinsics = Literal["feature", "released"]
SweepMap = Literal["matching", "output"]


@MODELS.register_module()
class TemporalContext(BaseModule):
    """History frames -> matching volume in the view of the present -> voxel features.

    The frames are swept over depth planes of the current view, the volume is refined and weighted
    by its affinity to the current frame, encoded, pooled to voxels and encoded again.

    Args:
        depth_bins: ``start``, ``stop``, ``step`` of the depth axis, metres.
        num_history: Number of history frames that it takes, the latest of those given, T-1.
        matching: Config of the matching features; where nothing needs any, not built, perhaps None.
        pose: Config of the source of motion: ``EgoPose`` for poses of the data set, or ``PoseNet``.
        volume: Config of the matching volume, see :mod:`htcl.models.volumes`.
        affinity: Config of the pattern affinity; None does without affinity weights.
        refinement: Config of the refinement of the volume.
        depth_score: Config of a ``DepthScore``, by which the history corrects the depth
            distribution that lifts the image features; None: it reaches the voxels alone.
        pre_hourglass: Config of the encoder of the frustum volume.
        voxel_hourglass: Config of the encoder of the voxels.
        intrinsics: ``feature``: those of the swept maps; ``released``: see
            :func:`~htcl.ops.released_intrinsics`.
        sweep_range: First and last depth of the swept planes, evenly spaced, metres. None is the
            range of the depth bins, on which the volume is pooled later; the release has (0, 112).
        num_planes: Number of swept planes; None for as many as there are bins. Otherwise the volume
            is resized along depth, first plane to first bin and last to last.
        sweep_map: ``matching`` sweeps features at their own stride, then resizes the volume;
            ``output`` resizes the features first: four times cheaper at an output stride of 8.
        behind: What becomes of points behind a history camera, see :func:`~htcl.ops.sweep_grid`.
        init_cfg: mmengine weight initialisation.

    Attributes:
        recalled: What a :class:`~htcl.models.temporal.FrameMemory` knows of the clip that is
            predicted next; None computes everything, as every training does.

    Raises:
        InvalidValueError: For unknown names, impossible numbers or depths, or a missing part.
    """

    required_inputs: ClassVar[frozenset[str]] = frozenset({"history"})
    depths: Tensor

    def __init__(
        self,
        depth_bins: DepthBins | Mapping[str, float],
        num_history: int = 3,
        matching: Config | None = MappingProxyType({"type": "MatchingResNet"}),
        pose: Config = MappingProxyType({"type": "EgoPose"}),
        volume: Config = MappingProxyType({"type": "MeanVolume"}),
        affinity: Config | None = MappingProxyType({"type": "PatternAffinity"}),
        refinement: Config = MappingProxyType({"type": "AffinityRefinement"}),
        depth_score: Config | None = None,
        pre_hourglass: Config = MappingProxyType({"type": "HourglassEncoder", "out_channels": 64}),
        voxel_hourglass: Config = MappingProxyType(
            {"type": "HourglassEncoder", "out_channels": 384}
        ),
        intrinsics: Intrinsics = "feature",
        sweep_range: Sequence[float] | None = None,
        num_planes: int | None = None,
        sweep_map: SweepMap = "matching",
        behind: Behind = "discard",
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.recalled: RecalledClip | None = None
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
        width = getattr(self.matching, "channels", None)
        self.affinity = _build(affinity, context_channels=width, volume_channels=channels)
        self.refinement = _build(refinement, channels=channels)
        self.pre_hourglass = _build(pre_hourglass, in_channels=channels)
        width = self.pre_hourglass.out_channels
        self.voxel_hourglass = _build(voxel_hourglass, in_channels=width)
        self.depth_score = _build(depth_score, volume_channels=channels, feature_channels=width)

    @property
    def reuses_frames(self) -> bool:
        """Whether the features of history frames are needed, which :attr:`recalled` may bring."""
        return self.matching is not None and self.volume.source == "features"

    def forward(self, history: HistoryInputs, present: Present) -> HistoryFeatures:
        """Features of the history, see :class:`~htcl.models.interfaces.TemporalModule`.

        Raises:
            InvalidValueError: If there are fewer frames than ``num_history``.
        """
        context, warped = self.warp_history(history, present.map_size)
        refined = self.refinement(warped)
        affinity = None
        if self.affinity is not None:
            affinity = self.affinity(context, warped)
            refined = affinity * refined
        features = self.pre_hourglass(refined)
        score = None if self.depth_score is None else self.depth_score(warped, features)
        voxel = self.voxel_hourglass(present.pool(features))
        return HistoryFeatures(voxel, affinity=affinity, depth_score=score)

    def warp_history(
        self, history: HistoryInputs, map_size: tuple[int, int]
    ) -> tuple[Tensor | None, Tensor]:
        """Sees the history at every depth of the current view; raises as :meth:`forward`.

        Returns features of the current frame (M, C, h, w), None without matching features, and the
        matching volume (M, (T-1) * G, D, h, w), frame-major.
        """
        given = check_history("model.temporal", self.num_history, history)
        camera, latest = history.camera, slice(given - self.num_history, None)
        frames = torch.cat([history.images[:, latest], history.current[:, None]], dim=1)
        frames = frames.float() / 255
        motion = history.current_from_history
        motion = self.pose(
            frames[:, -1], frames[:, :-1], None if motion is None else motion[:, latest]
        )
        context, maps = None, frames
        if self.volume.source == "features":
            # The current frame's features are computed once. The released network computes them
            # again for every history frame, which gives the same numbers and only moves the running
            # statistics of its batch norms several times a step.
            maps = self._match(frames, range(given - self.num_history, given + 1))
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

    def _match(self, frames: Tensor, places: Sequence[int]) -> Tensor:
        """Matching features (M, T, C, h', w') of frames, which have these places in their clip."""
        recalled = None if self.training else self.recalled
        if recalled is None:
            return self.matching(frames)

        def compute(missing: Sequence[int]) -> list[FrameRecord]:
            # An index made of numbers would be copied to a GPU and waited for.
            chosen = torch.stack([frames[:, place - places[0]] for place in missing], dim=1)
            return [{"matching": maps} for maps in self.matching(chosen).unbind(dim=1)]

        records = recalled.complete("matching", places, compute)
        return torch.stack([record["matching"] for record in records], dim=1)

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


def _build(config: Config | None, **derived: Any) -> Any:
    """Builds a part whose channel counts follow from the others'; None stays None."""
    return None if config is None else MODELS.build({**config, **derived})
