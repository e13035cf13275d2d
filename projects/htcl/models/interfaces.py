"""What the parts of the network take and give, and what a batch holds.

Shape letters: B batch, N camera, M = B * N image, T frame, C channel, H W network image, h w
feature map, D depth bin, X Y Z voxel, P point, K class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypedDict, runtime_checkable

from mmengine.registry import MODELS
from torch import Tensor, nn

from htcl.errors import InvalidValueError
from htcl.geometry import Camera

# Inputs that a moment has beside its images, and every earlier one as ``history_...``.
OF_EACH_MOMENT = frozenset({"right", "depth_prior"})
# Keeps a depth bin that one witness rules out reachable for another.
_MIN_PROBABILITY = 1e-4


class Batch(TypedDict, total=False):
    """The inputs after the data preprocessor; ``docs/data_contract.md`` has units and frames."""

    images: Tensor
    """Current images, normalised (B, N, 3, H, W)."""
    cameras: Camera
    """Their cameras (B, N)."""
    right: Tensor
    """Right partners of the images, normalised (B, N, 3, H, W)."""
    focal_baseline: Tensor
    """Focal length times baseline of each pair (B, N), original pixels times metres."""
    history: Tensor
    """Earlier images, oldest first, uint8 (B, T-1, N, 3, H, W)."""
    current: Tensor
    """The current images, prepared as the history is, uint8 (B, N, 3, H, W)."""
    history_right: Tensor
    """Their right partners, uint8 (B, T-1, N, 3, H, W)."""
    history_cameras: Camera
    """Cameras (B, N) of ``history`` and ``current``; only their image transform may differ."""
    current_from_history: Tensor
    """Motion, camera frame at each earlier time -> current camera frame (B, T-1, N, 4, 4)."""
    depth_prior: Tensor
    """Probability of each depth bin from a source outside of the network (B, N, D, h, w)."""
    history_depth_prior: Tensor
    """The same of the earlier images (B, T-1, N, D, h, w)."""
    depth_maps: Tensor
    """Lidar depth in the images (B, N, H, W), metres, 0 = none."""
    points: list[Tensor]
    """Lidar points of each sample (P, 3), augmented reference frame, metres."""
    point_labels: list[Tensor]
    """Their classes (P,), the empty class = not scored."""
    point_uvd: list[Tensor]
    """Their places in the images (N, P, 3): u, v in [-1, 1], depth in metres (0 = behind)."""


@dataclass(frozen=True)
class FrameInputs:
    """All that the network may see of one moment, or of several in a row.

    Attributes:
        images: Images, normalised (M, 3, H, W).
        camera: Their cameras (M,).
        right: Their right partners, normalised (M, 3, H, W), or None.
        focal_baseline: Focal length times baseline of each pair (M,), or None.
        depth_prior: Probability of each depth bin from outside of the network (M, D, h, w), or
            None.
    """

    images: Tensor
    camera: Camera
    right: Tensor | None = None
    focal_baseline: Tensor | None = None
    depth_prior: Tensor | None = None


@dataclass(frozen=True)
class HistoryInputs:
    """What a temporal module sees of the past.

    Attributes:
        images: Earlier images, oldest first, uint8 (M, T-1, 3, H, W).
        current: The current images, uint8 (M, 3, H, W).
        camera: Cameras (M,) of both.
        current_from_history: Motions (M, T-1, 4, 4), None if the module estimates them.
        frames: Gives earlier moments, by their places among the T - 1, as the network sees the
            present: all M images of the first place, then of the next.
    """

    images: Tensor
    current: Tensor
    camera: Camera
    current_from_history: Tensor | None
    frames: Callable[[Sequence[int]], FrameInputs] | None = None


def check_history(part: str, num_history: int, history: HistoryInputs) -> int:
    """Number of the earlier frames given; InvalidValueError if a part needs more."""
    given = history.images.shape[1]
    if given < num_history:
        raise InvalidValueError(
            f"{part} has num_history={num_history}, but the data set gives {given} history "
            "frames: set both to the same number"
        )
    return given


@dataclass(frozen=True)
class DepthEstimate:
    """Depth of every image cell.

    Attributes:
        prob: Probability of each bin (M, D, h, w), by which the features are lifted.
        context: What is lifted (M, C, h, w).
        unfused: What ``prob`` was made from, by name, all like it: ``mono`` and ``stereo`` with
            stereo, ``current`` (without history) if the history corrected it.
    """

    prob: Tensor
    context: Tensor
    unfused: dict[str, Tensor]

    def corrected(self, score: Tensor | None) -> DepthEstimate:
        """Adds a score (M, D, h, w) to the logarithm of the distribution."""
        if score is None:
            return self
        logits = self.prob.float().clamp_min(_MIN_PROBABILITY).log() + score
        unfused = {**self.unfused, "current": self.prob}
        return DepthEstimate(logits.softmax(dim=1), self.context, unfused)


@dataclass(frozen=True)
class HistoryFeatures:
    """What a temporal module gives; None where it has no such part.

    Attributes:
        voxel: Voxel features to fuse with those of the present (B, C, X, Y, Z).
        lifted: Voxel features to add to the lifted ones of the present (B, C', X', Y', Z').
        affinity: Agreement of history and present (M, 1, D, h, w).
        depth_score: To add to the logarithm of the depth distribution (M, D, h, w).
        trust: Weight in [0, 1] of each cell of the history (M, T-1, h, w).
    """

    voxel: Tensor | None = None
    lifted: Tensor | None = None
    affinity: Tensor | None = None
    depth_score: Tensor | None = None
    trust: Tensor | None = None


@dataclass(frozen=True)
class Present:
    """What a temporal module may use of the network and of its view of the present.

    Attributes:
        depth: Depth of the current images, as yet without the history.
        cameras: The current cameras (B, N).
        index: Geometry of these cameras, by the view transformer.
        view_transformer: From images to voxels.
        describe: The network's depth and context of any moments.
    """

    depth: DepthEstimate
    cameras: Camera
    index: Any
    view_transformer: ViewTransformer
    describe: Callable[[FrameInputs], DepthEstimate]

    @property
    def map_size(self) -> tuple[int, int]:
        """Size (h, w) of the maps."""
        height, width = self.depth.prob.shape[-2:]
        return height, width

    def pool(self, volume: Tensor) -> Tensor:
        """Brings frustum features (M, C, D, h, w) to voxels (B, C, X, Y, Z)."""
        return self.view_transformer.pool(volume, self.index)


@dataclass(frozen=True)
class SceneFeatures:
    """What :meth:`HTCL.extract_feat` hands to head and losses.

    Attributes:
        voxel: Fused voxel features (B, C, X, Y, Z).
        image: Features (M, C, h, w) of the current images.
        depth: Their depth.
        history: Features of the history, None without a temporal module.
        points: What the history's points give, None without them.
    """

    voxel: Tensor
    image: Tensor
    depth: DepthEstimate
    history: HistoryFeatures | None
    points: HistoryFeatures | None = None


@runtime_checkable
class DepthEstimator(Protocol):
    """Depth distribution and context of each image cell from the image features."""

    def __call__(self, features: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
        """Maps (M, C, h, w) to logits (M, D, h, w) and context (M, C', h, w)."""


@runtime_checkable
class StereoEstimator(Protocol):
    """A second witness of the depth, beside the depth estimator."""

    def __call__(self, frame: FrameInputs, map_size: tuple[int, int]) -> Tensor:
        """Maps one moment to probabilities (M, D, h, w)."""


@runtime_checkable
class ViewTransformer(Protocol):
    """From the images of all cameras to one voxel grid."""

    def index(self, cameras: Camera, map_size: tuple[int, int]) -> Any:
        """Geometry of cameras (B, N) and maps (h, w), in a form of its own, once a forward pass."""

    def splat(self, depth_prob: Tensor, context: Tensor, index: Any) -> Tensor:
        """Lifts context (M, C, h, w) by probabilities (M, D, h, w): (B, C, X, Y, Z)."""

    def pool(self, volume: Tensor, index: Any) -> Tensor:
        """Sums frustum features (M, C, D, h, w) in voxels (B, C, X, Y, Z)."""

    def best_depth(self, depth_prob: Tensor) -> Tensor:
        """Depth of the most probable bin (M, h, w), metres."""


@runtime_checkable
class PointLifter(Protocol):
    """A view transformer that also takes points, as :class:`~htcl.models.temporal.PointHistory`."""

    def lift_points(
        self, depth: Tensor, weight: Tensor, context: Tensor, cameras: Camera
    ) -> Tensor:
        """Sums context (M, C, h, w) times weight (M, h, w) where it is: (B, C, X, Y, Z).

        Each cell is at one depth (M, h, w), metres, in front of cameras (B, N).
        """


@runtime_checkable
class TemporalModule(Protocol):
    """From the history to features of voxels."""

    num_history: int

    def __call__(self, history: HistoryInputs, present: Present) -> HistoryFeatures:
        """Sees the history from the present."""


@runtime_checkable
class FrameReuser(Protocol):
    """A temporal module that can take features of frames from a memory.

    Attributes:
        reuses_frames: Whether this one would.
        recalled: A :class:`~htcl.models.temporal.RecalledClip`, set around a prediction.
    """

    reuses_frames: bool
    recalled: Any


@runtime_checkable
class VoxelEncoder(Protocol):
    """3D backbone."""

    def __call__(self, voxel: Tensor) -> list[Tensor]:
        """Maps (B, C, X, Y, Z) to one map a level."""


@runtime_checkable
class Head(Protocol):
    """Classes of voxels."""

    def __call__(
        self, voxel: Tensor, size: Sequence[int], start: Sequence[int], stride: int
    ) -> Tensor:
        """Maps (B, C, X, Y, Z) to logits (B, K, x, y, z).

        They are those of the voxels ``start::stride`` of a grid (X', Y', Z') of that size over the
        same box; ``start`` and ``stride`` may be left out for all of them.
        """


class Part(Protocol):
    """What every part may say of the inputs that it needs, by their names in :class:`Batch`.

    A part with ``sees_frames`` looks at each earlier moment as the network looks at the present,
    and so needs of the past what the others need of the present. ``right`` brings
    ``focal_baseline``; ``points`` brings ``point_labels`` and ``point_uvd``; images and cameras are
    always there.
    """

    required_inputs: ClassVar[frozenset[str]]
    training_inputs: ClassVar[frozenset[str]]
    sees_frames: ClassVar[bool]


def required_inputs(model: nn.Module | Mapping[str, Any], training: bool = False) -> frozenset[str]:
    """Names of the inputs that the parts of a network, or of the config of one, need.

    Every part of a config names its ``type``. ``training`` adds what only a training needs.
    """
    attributes = ("required_inputs", "training_inputs") if training else ("required_inputs",)
    parts = map(type, model.modules()) if isinstance(model, nn.Module) else _classes(model)
    classes = set(parts)
    found = {"images"}
    for cls in classes:
        for attribute in attributes:
            # A network's own property of the same name speaks for the whole, not for one part.
            value: Any = getattr(cls, attribute, frozenset())
            found |= value if isinstance(value, frozenset) else frozenset()
    if any(getattr(cls, "sees_frames", False) is True for cls in classes):
        found |= {f"history_{name}" for name in found & OF_EACH_MOMENT}
    return frozenset(found)


def _classes(config: Any) -> Iterator[type]:
    if isinstance(config, Mapping):
        name = config.get("type")
        if isinstance(name, str) and (cls := MODELS.get(name)) is not None:
            yield cls
        for value in config.values():
            yield from _classes(value)
    elif isinstance(config, Sequence) and not isinstance(config, str):
        for value in config:
            yield from _classes(value)
