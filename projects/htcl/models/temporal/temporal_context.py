"""The temporal branch: from a clip of frames to voxel features of the history.

Li et al., "Hierarchical Temporal Context Learning for Camera-based Semantic Scene Completion" (ECCV
2024).

Shape letters: B batch, T frame, C channel, H W image, h w image feature map, D depth bin, X Y Z
voxel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from mmdet3d.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from htcl.models.layers.hourglass_encoder import HourglassEncoder
from htcl.models.layers.recompute import recompute
from htcl.models.temporal.patch_sweep import PatchSweep
from htcl.models.temporal.plane_sweep import REDUCTIONS, PlaneSweep
from htcl.models.temporal.sweep_geometry import (
    feature_intrinsics,
    pixel_times_feature_size,
    sweep_projection,
)
from htcl.ops import DepthBins

Config = Mapping[str, Any]

INTRINSICS = ("pixel_times_feature_size", "feature")
SWEEP_MAPS = ("matching", "output")
WARPED_FEATURES = (*REDUCTIONS, "patches")
# None already means: without affinity.
_DEFAULT: Config = MappingProxyType({})
_RELEASED_BINS = DepthBins(start=2.0, stop=58.0, step=0.5)


@MODELS.register_module()
class TemporalContext(BaseModule):
    """History frames -> frustum volume -> (after splatting, which happens outside) voxel features.

    The defaults are the released behaviour. For what the paper means set ``pose=dict(type=
    'EgoPose')`` (or a trained pose net), ``intrinsics='feature'``, ``sweep_range=None``,
    ``discard_behind=True`` and ``align_corners=False``.

    Args:
        num_history: Number of history frames, T-1.
        matching: Config of the matching features, by default of a ``MatchingResNet``.
        pose: Config of the source of motion: ``PoseNet``, or ``EgoPose`` for poses of the data set.
        depth_bins: ``start``, ``stop``, ``step`` of the output's depth axis in metres.
        sweep_range: First and last depth of the swept planes in metres, evenly spaced. ``(0, 112)``
            as released, which is not the axis on which the volume is splatted afterwards; None
            sweeps the range of the depth bins.
        num_planes: Number of swept planes; None, as released, for as many as there are bins.
            Otherwise the volume is resized along depth, first plane to first bin and last to last.
        intrinsics: ``'pixel_times_feature_size'``, as released: original pixel intrinsics, rows
            multiplied by the width and height of the feature map. ``'feature'``: those of the
            feature map, following the resize, the crop and the stride.
        sweep_map: Where the sweep takes place: ``'matching'``, as released, at stride 4, and the
            volume is resized after that. ``'output'``: the features are resized first, which costs
            four times less at an output stride of 8.
        warped_feature: ``'mean'`` (released) or ``'correlation'``, see
            :class:`~htcl.models.temporal.plane_sweep.PlaneSweep`; or ``'patches'``, which matches
            pixels of the images in place of learned features, see
            :class:`~htcl.models.temporal.patch_sweep.PatchSweep`.
        num_groups: Channel groups of the correlation.
        discard_behind: True leaves points behind a history camera out of view; False as released.
        align_corners: Convention of the resize to the output's size. True as released; False keeps
            cells where pixels are.
        affinity: Config of the pattern affinity, by default of a ``PatternAffinity``; None does
            without affinity weights.
        refinement: Config of the refinement, by default of an ``AffinityRefinement``.
        depth_correction: True lets the history correct the depth distribution by which the image
            features are lifted: :meth:`forward` gives a score of each depth. It is the sum of the
            warped history, weighted, and of a convolution of the volume; both start at zero.
            False, as released: the history reaches the voxels alone.
        pre_hourglass: Arguments of the :class:`HourglassEncoder` on the frustum volume.
        voxel_hourglass: Arguments of the :class:`HourglassEncoder` on the voxels; its input
            channels are the other one's output channels.
        depth_chunk: Planes that a correlation warps at once, learned or of patches.
        with_cp: Recomputes the large volumes in the backward pass instead of storing them.
        init_cfg: mmengine weight initialisation.

    Raises:
        ValueError: For unknown names or an impossible depth axis.
    """

    def __init__(
        self,
        num_history: int = 3,
        matching: Config | None = None,
        pose: Config | None = None,
        depth_bins: DepthBins | Config = _RELEASED_BINS,
        sweep_range: Sequence[float] | None = (0.0, 112.0),
        num_planes: int | None = None,
        intrinsics: str = "pixel_times_feature_size",
        sweep_map: str = "matching",
        warped_feature: str = "mean",
        num_groups: int = 1,
        discard_behind: bool = False,
        align_corners: bool = True,
        affinity: Config | None = _DEFAULT,
        refinement: Config | None = None,
        depth_correction: bool = False,
        pre_hourglass: Config | None = None,
        voxel_hourglass: Config | None = None,
        depth_chunk: int | None = None,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if num_history < 1:
            raise ValueError(f"num_history={num_history}: at least one history frame is needed")
        _check_choice("intrinsics", intrinsics, INTRINSICS)
        _check_choice("sweep_map", sweep_map, SWEEP_MAPS)
        _check_choice("warped_feature", warped_feature, WARPED_FEATURES)
        self.num_history = num_history
        self.intrinsics = intrinsics
        self.sweep_map = sweep_map
        self.align_corners = align_corners
        self.with_cp = with_cp
        self.depth_bins = DepthBins.build(depth_bins)
        first, last = sweep_range or (self.depth_bins.start, self.depth_bins.last)
        depths = torch.linspace(first, last, num_planes or self.depth_bins.num, dtype=torch.float64)
        self.patch_sweep = self.plane_sweep = None
        if warped_feature == "patches":
            if num_groups != 1:
                raise ValueError(
                    f"num_groups={num_groups} with warped_feature='patches': groups belong to "
                    "'correlation'"
                )
            self.patch_sweep = PatchSweep(
                depths, discard_behind=discard_behind, depth_chunk=depth_chunk
            )
        else:
            self.plane_sweep = PlaneSweep(
                depths,
                reduction=warped_feature,
                num_groups=num_groups,
                discard_behind=discard_behind,
                depth_chunk=depth_chunk,
                with_cp=with_cp,
            )
        # Patches are matched without features, which then serve the affinity alone.
        self.matching = None
        if self.plane_sweep is not None or affinity is not None:
            self.matching = _build(matching, "MatchingResNet")
        self.pose = _build(pose, "PoseNet")
        channels = num_history * num_groups
        self.affinity = None
        if affinity is not None:
            self.affinity = _build(
                affinity,
                "PatternAffinity",
                context_channels=self.matching.channels,
                volume_channels=channels,
            )
        self.refinement = _build(refinement, "AffinityRefinement", channels=channels)
        self.pre_hourglass = HourglassEncoder(
            channels, **{"out_channels": 64, **(pre_hourglass or {})}
        )
        self.voxel_hourglass = HourglassEncoder(
            self.pre_hourglass.project.out_channels,
            **{"out_channels": 384, **(voxel_hourglass or {})},
        )
        self.depth_score = None
        if depth_correction:
            self.depth_score = _DepthScore(channels, self.pre_hourglass.project.out_channels)

    def forward(
        self,
        frames: Tensor,
        batch: Mapping[str, Tensor],
        feature_size: tuple[int, int],
        details: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor | None, Tensor | None]:
        """Frustum volume of the history, in the view of the current frame.

        Args:
            frames: RGB frames (B,T,3,H,W) in 0..255, oldest first, the last one is the current one.
            batch: The batch; of it are read ``intrinsics_left`` and, depending on the settings,
                ``frames_pixel_transform`` and ``current_from_frame``.
            feature_size: Size (h, w) of the output.
            details: Returns affinity and depth score as well.

        Returns:
            Volume (B,C,D,h,w); with ``details`` also the affinity (B,1,D,h,w) and what the history
            adds to the logarithm of the depth distribution (B,D,h,w). Each is None if the settings
            do without.

        Raises:
            ValueError: If the number of frames is not ``num_history + 1``.
        """
        current, warped = self.warp_history(frames, batch, feature_size)
        refined, affinity = recompute(
            self, self._refine, current, warped, enabled=self.with_cp and self.training
        )
        volume = recompute(
            self.pre_hourglass, self.pre_hourglass, refined, enabled=self.with_cp and self.training
        )
        if not details:
            return volume
        score = None if self.depth_score is None else self.depth_score(warped, volume)
        return volume, affinity, score

    def warp_history(
        self, frames: Tensor, batch: Mapping[str, Tensor], feature_size: tuple[int, int]
    ) -> tuple[Tensor | None, Tensor]:
        """Current features, and history features at every depth of the current view.

        Args:
            frames: As in :meth:`forward`.
            batch: As in :meth:`forward`.
            feature_size: As in :meth:`forward`.

        Returns:
            Current features (B,C,h,w), None if neither sweep nor affinity needs any, and the warped
            history (B,(T-1)*groups,D,h,w), frame-major.

        Raises:
            ValueError: If the number of frames is not ``num_history + 1``.
        """
        if frames.shape[1] != self.num_history + 1:
            raise ValueError(
                f"temporal module: {frames.shape[1]} frames, expected num_history + 1 = "
                f"{self.num_history + 1}; make the pipeline's history and num_history agree"
            )
        image_size = tuple(frames.shape[-2:])
        frames = frames.float() / 255
        source_from_current = self.pose(frames, batch)
        if self.patch_sweep is None:
            resized, warped = self._sweep_features(
                frames, source_from_current, batch, image_size, feature_size
            )
        else:
            resized = None
            if self.matching is not None:
                resized = self._resize(self.matching(frames[:, -1:])[:, 0], feature_size)
            projection = self._projection(batch, source_from_current, image_size, image_size)
            warped = self.patch_sweep(frames[:, -1], frames[:, :-1], projection)
        if warped.shape[2] != self.depth_bins.num:
            size = (self.depth_bins.num, *warped.shape[-2:])
            warped = F.interpolate(warped, size, mode="trilinear", align_corners=True)
        # Bilinear slice by slice: the depth axis keeps its planes.
        size = warped.shape[1:3]
        warped = self._resize(warped.flatten(1, 2), feature_size).unflatten(1, size)
        return resized, warped

    def refine_voxels(self, pooled: Tensor) -> Tensor:
        """Refines the splatted volume: (B,C,X,Y,Z) -> (B,C',X,Y,Z)."""
        return recompute(
            self.voxel_hourglass,
            self.voxel_hourglass,
            pooled,
            enabled=self.with_cp and self.training,
        )

    def _refine(self, current: Tensor | None, warped: Tensor) -> tuple[Tensor, Tensor | None]:
        refined = self.refinement(warped)
        if self.affinity is None:
            return refined, None
        affinity = self.affinity(current, warped)
        return affinity * refined, affinity

    def _sweep_features(
        self,
        frames: Tensor,
        source_from_current: Tensor,
        batch: Mapping[str, Tensor],
        image_size: tuple[int, int],
        feature_size: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:
        # The current frame's features are computed once. The released network computes them again
        # for every history frame, which gives the same numbers and only moves the running
        # statistics of its batch norms several times a step.
        features = self.matching(frames)
        resized = self._resize(features[:, -1], feature_size)
        if self.sweep_map == "output":
            features = self._resize(features.flatten(0, 1), feature_size)
            features = features.unflatten(0, frames.shape[:2])
        map_size = tuple(features.shape[-2:])
        projection = self._projection(batch, source_from_current, image_size, map_size)
        return resized, self.plane_sweep(features[:, -1], features[:, :-1], projection)

    def _projection(
        self,
        batch: Mapping[str, Tensor],
        source_from_current: Tensor,
        image_size: tuple[int, int],
        map_size: tuple[int, int],
    ) -> Tensor:
        """From cells of a current map of a size to cells of the history maps, (B,T-1,4,4)."""
        return sweep_projection(
            self._map_intrinsics(batch, image_size, map_size),
            source_from_current,
            unproject_offset=self.intrinsics == "feature",
        )

    def _resize(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        if tuple(maps.shape[-2:]) == tuple(size):
            return maps
        return F.interpolate(maps, size, mode="bilinear", align_corners=self.align_corners)

    def _map_intrinsics(
        self, batch: Mapping[str, Tensor], image_size: tuple[int, int], map_size: tuple[int, int]
    ) -> Tensor:
        if self.intrinsics == "pixel_times_feature_size":
            return pixel_times_feature_size(batch["intrinsics_left"], map_size)
        return feature_intrinsics(
            batch["intrinsics_left"], batch["frames_pixel_transform"], image_size, map_size
        )


class _DepthScore(nn.Module):
    """Score of each depth from the warped history (B,C,D,h,w) and the volume (B,C',D,h,w)."""

    # Steps of the optimiser are small beside the weight that an agreement deserves, a few units.
    SCALE = 10.0

    def __init__(self, warped_channels: int, volume_channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(warped_channels))
        self.volume = nn.Conv3d(volume_channels, 1, 3, padding=1)
        nn.init.zeros_(self.volume.weight)
        nn.init.zeros_(self.volume.bias)

    def forward(self, warped: Tensor, volume: Tensor) -> Tensor:
        agreement = torch.einsum("bcdhw,c->bdhw", warped, self.SCALE * self.gain)
        return agreement.float() + self.volume(volume).squeeze(1).float()


def _build(config: Config | None, default_type: str, **derived: Any) -> torch.nn.Module:
    """Builds a part whose channel counts follow from the others'."""
    return MODELS.build({"type": default_type, **(config or {}), **derived})


def _check_choice(key: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{key}={value!r} is unknown: choose one of {choices}")
