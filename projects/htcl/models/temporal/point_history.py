"""The history as points in the present voxel grid.

The idea is that of C3DFusion (Bae, Ha, Heo, Lee, Kim, "Towards Temporal Fusion Beyond the Field of
View for Camera-based Semantic Scene Completion", AAAI 2026): features of earlier frames, each at
one depth, are moved by the true poses into the present grid, weigh less the farther they were, and
come together with those of the present. It needs no weights.

Shape letters: B batch, N camera, M = B * N image, T frame, C channel, D depth bin, h w feature map,
X Y Z voxel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from htcl.errors import InvalidValueError, check_choice
from htcl.geometry import DepthBins
from htcl.models.interfaces import (
    DepthEstimate,
    HistoryFeatures,
    HistoryInputs,
    PointLifter,
    Present,
    check_history,
)
from htcl.models.temporal.depth_agreement import same_place
from htcl.models.temporal.frame_memory import FrameRecord, RecalledClip

PointDepth = Literal["argmax", "expectation", "distribution"]
FarWeight = Literal["linear", "none"]


@MODELS.register_module()
class PointHistory(BaseModule):
    """Adds what earlier frames saw to the lifted features of the present.

    The network looks at each earlier frame as at the present one (image features, depth, stereo if
    it has any). What it sees is moved by the poses and summed in the voxels where it lies. Frames
    taken from the same place as a later one, such as those that stand in before the start of a
    sequence, do not count again.

    Args:
        depth_bins: ``start``, ``stop``, ``step`` of the depth axis, metres.
        num_history: Number of history frames that it takes, the latest of those given, T - 1.
        depth: ``argmax`` puts each cell at its most probable depth, ``expectation`` at the mean of
            its distribution; ``distribution`` spreads it over all depths, as the present is.
        far_weight: ``linear`` lets the weight of a cell fall from 1 at the first depth bin to 0 at
            the last one; ``none`` leaves it at 1.
        trust: Config of a :class:`~htcl.models.temporal.DepthAgreement`; None believes everything.
        frames_at_once: How many earlier frames the network looks at together; None for all. Fewer
            take less memory, more keep a GPU busier.
        gradient: Whether a training goes back through the earlier frames too, at several times the
            memory.
        init_cfg: Unused; kept for the module interface.

    Attributes:
        recalled: What a :class:`~htcl.models.temporal.FrameMemory` knows of the clip that is
            predicted next; None looks at every frame, as every training does.

    Raises:
        InvalidValueError: For unknown names or impossible numbers.
    """

    required_inputs: ClassVar[frozenset[str]] = frozenset({"history", "current_from_history"})
    sees_frames: ClassVar[bool] = True
    reuses_frames: ClassVar[bool] = True

    def __init__(
        self,
        depth_bins: DepthBins | Mapping[str, float],
        num_history: int = 3,
        depth: PointDepth = "argmax",
        far_weight: FarWeight = "linear",
        trust: Mapping[str, Any] | None = None,
        frames_at_once: int | None = None,
        gradient: bool = False,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.recalled: RecalledClip | None = None
        if num_history < 1:
            raise InvalidValueError(
                f"num_history={num_history}: at least one history frame is needed; without any, "
                "set model.point_history to None"
            )
        if frames_at_once is not None and frames_at_once < 1:
            raise InvalidValueError(
                f"frames_at_once={frames_at_once}: give 1 or more frames, or None for all"
            )
        check_choice("depth", depth, get_args(PointDepth))
        check_choice("far_weight", far_weight, get_args(FarWeight))
        self.depth_bins = DepthBins.build(depth_bins)
        self.num_history = num_history
        self.depth = depth
        self.far_weight = far_weight
        self.trust = None if trust is None else MODELS.build(dict(trust))
        self.frames_at_once = frames_at_once or num_history
        self.gradient = gradient

    def forward(self, history: HistoryInputs, present: Present) -> HistoryFeatures:
        """Lifted features of the history, see :class:`~htcl.models.interfaces.TemporalModule`.

        Raises:
            InvalidValueError: If there are fewer frames than ``num_history``, or no poses.
        """
        given = check_history("model.point_history", self.num_history, history)
        if history.current_from_history is None:
            raise InvalidValueError(
                "model.point_history needs the motion between frames: give the data set poses, or "
                "set model.point_history to None"
            )
        motion = history.current_from_history[:, given - self.num_history :]
        with torch.set_grad_enabled(self.gradient and torch.is_grad_enabled()):
            frames = self._see(history, present, range(given - self.num_history, given))
            weight, trust = self._weigh(frames, motion, history, present)
            past = frames[:-1]
            context = torch.stack([frame["context"] for frame in past], dim=1).flatten(0, 1)
            # Every earlier frame is one more camera of the rig, where that camera stood.
            rig = present.cameras[:, :, None].moved(motion.unflatten(0, present.cameras.shape))
            rig, weight = rig.flatten(1), weight.flatten(0, 1)
            transformer = present.view_transformer
            if self.depth == "distribution":
                prob = torch.stack([frame["prob"] for frame in past], dim=1).flatten(0, 1)
                index = transformer.index(rig, present.map_size)
                lifted = transformer.splat(prob * weight[:, None], context, index)
            elif isinstance(transformer, PointLifter):
                depth = torch.stack([frame["depth"] for frame in past], dim=1).flatten(0, 1)
                lifted = transformer.lift_points(depth, weight, context, rig)
            else:
                raise InvalidValueError(
                    f"model.point_history: {type(transformer).__name__} cannot lift points, it has "
                    "no lift_points: use a LiftSplat, or depth='distribution'"
                )
        return HistoryFeatures(lifted=lifted, trust=trust)

    def _see(
        self, history: HistoryInputs, present: Present, places: Sequence[int]
    ) -> list[FrameRecord]:
        """What each of the T frames shows; the present is seen already, without the history."""
        now = self._record(present.depth)

        def compute(missing: Sequence[int]) -> list[FrameRecord]:
            assert history.frames is not None  # the network gives them
            records: list[FrameRecord] = []
            for first in range(0, len(missing), self.frames_at_once):
                part = missing[first : first + self.frames_at_once]
                seen = self._record(present.describe(history.frames(part)))
                parts = {name: value.chunk(len(part)) for name, value in seen.items()}
                records += [{n: chunks[i] for n, chunks in parts.items()} for i in range(len(part))]
            return records

        recalled = None if self.training else self.recalled
        if recalled is None:
            return [*compute(places), now]
        last = len(recalled.known) - 1
        # First the present, which may stand in for earlier frames.
        recalled.complete("context", [last], lambda _: [now])
        return recalled.complete("context", [*places, last], compute)

    def _record(self, seen: DepthEstimate) -> FrameRecord:
        """What is kept of frames: context (M, C, h, w), and depth (M, h, w) in metres."""
        prob = seen.prob.float()
        depths = self.depth_bins.values(prob.device)
        if self.depth == "expectation":
            # Not as a product of matrices, which autocast would round to 16 bits.
            depth = (prob * depths[:, None, None]).sum(dim=1)
        else:
            depth = depths[prob.max(dim=1).indices]
        record = {"context": seen.context, "depth": depth}
        return record | ({"prob": seen.prob} if self.depth == "distribution" else {})

    def _weigh(
        self,
        frames: Sequence[FrameRecord],
        motion: Tensor,
        history: HistoryInputs,
        present: Present,
    ) -> tuple[Tensor, Tensor | None]:
        """Weight and trust (M, T-1, h, w) of the cells of the earlier frames."""
        depth = torch.stack([frame["depth"] for frame in frames], dim=1)
        still = torch.eye(4, dtype=motion.dtype, device=motion.device)
        motions = torch.cat([motion, still.expand(len(motion), 1, 4, 4)], dim=1)
        # A frame counts if no later one was taken from its place.
        new = ~same_place(motions).triu(diagonal=1).any(dim=2)[:, :-1, None, None]
        weight = new * torch.ones_like(depth[:, :-1])
        if self.far_weight == "linear":
            first, last = self.depth_bins.start, self.depth_bins.last
            weight = weight * ((last - depth[:, :-1]) / (last - first)).clamp(0, 1)
        if self.trust is None:
            return weight, None
        trust = self.trust(depth, motions, history.camera)
        return weight * trust, trust
