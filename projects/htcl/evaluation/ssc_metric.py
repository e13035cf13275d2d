"""mmengine metric of semantic scene completion.

Shape letters: K class, R region, N camera, h w feature map, X Y Z voxel.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS

from htcl.datasets.specification import DatasetSpecification, build_specification
from htcl.errors import InvalidValueError
from htcl.evaluation.regions import (
    FULL,
    IN_VIEW,
    VIEWS,
    VISIBLE,
    Window,
    range_name,
    range_regions,
    view_regions,
    whole_grid_ranges,
)
from htcl.evaluation.report import (
    as_percentages,
    format_table,
    metric_definition,
    scores_by_region,
)
from htcl.evaluation.ssc_confusion import confusion_by_region
from htcl.geometry import Camera, VoxelGrid, VoxelSight

# Fills the matrix of a region that a sample cannot tell, so that all results have one shape.
_UNKNOWN = -1


@METRICS.register_module()
class SSCMetric(BaseMetric):
    """Completion IoU, precision, recall, class IoU and mIoU of one confusion matrix over the split.

    The definition is the benchmark's own (:mod:`htcl.evaluation.ssc_confusion`). Each sample
    contributes exact integer matrices, one a region (whole grid, ranges, views), which mmengine
    gathers across processes and cuts to the length of the data set, so that samples that a
    distributed sampler repeats count once. Samples without ground truth are left out, with a
    message; if none has any, there are no scores. A region is scored, over all samples, only if
    every sample with ground truth tells it, else left out with a message.

    The rules are those of the samples' specification (their meta information, else that of the data
    set): the classes, which of them is empty, the value and the mask that are not scored, how a
    class without a true voxel counts, and the grid. It is said if that is not the benchmark's own
    grid.

    Args:
        ranges: Sides in metres of squares in front of the car that are scored too (see
            :func:`htcl.evaluation.regions.near_box`); empty for none.
        views: Whether the voxels in and out of view are scored apart, which needs the samples'
            ``cameras``, and in view the visible and the occluded ones, which needs their predicted
            ``depth_plane`` (see :class:`htcl.geometry.VoxelSight`).
        depth_tolerance: How far the surface of a visible voxel may lie behind the predicted depth,
            metres; half a bin of the coarsest network here, so that surfaces themselves count.
        **kwargs: Arguments of ``mmengine.evaluator.BaseMetric``.
    """

    # Not None, which mmengine warns about: plain names are meant.
    default_prefix = ""

    def __init__(
        self,
        ranges: Sequence[float] = (12.8, 25.6, 51.2),
        views: bool = True,
        depth_tolerance: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.ranges = tuple(ranges)
        self.views = views
        self.depth_tolerance = depth_tolerance
        self.specification: DatasetSpecification | None = None
        # What the last scores mean, for who writes them down, and the matrices that they are of:
        # of each sample with ground truth, by its number, and by region.
        self.definition: dict[str, Any] = {}
        self.by_sample: dict[int, dict[str, np.ndarray]] = {}
        # That of the last sample with its key: cameras stay as they are for a whole drive.
        self._last_sight: tuple[Any, VoxelSight] | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Counts samples with ``pred_voxels.semantics`` and ``gt_voxels.semantics`` (X, Y, Z).

        If the specification has a ``scored_mask``, ``gt_voxels`` has it by its name, bool or 0 and
        1 (X, Y, Z).

        Args:
            data_batch: What the data loader gave; its ``inputs`` may hold the ``cameras`` (N,) of
                each sample.
            data_samples: The predicted samples; they may hold ``depth_plane`` (N, h, w), metres.

        Raises:
            KeyError: If a sample has no prediction or lacks the mask, or nothing names the
                specification.
            InvalidValueError: If prediction and ground truth do not fit; the frame is named.
        """
        cameras = _cameras(data_batch) or [None] * len(data_samples)
        for sample, camera in zip(data_samples, cameras, strict=True):
            self.results.append(self._confusions(sample, camera))

    def compute_metrics(self, results: list[np.ndarray | None]) -> dict[str, float]:
        """Sums the matrices (R, K, K) of all samples with ground truth and scores them.

        Returns:
            Percentages (:func:`~htcl.evaluation.report.as_percentages`), none without ground truth.
        """
        scored = [result for result in results if result is not None]
        if len(scored) < len(results):
            print_log(
                f"{len(results) - len(scored)} of {len(results)} samples have no ground truth "
                "and are not scored"
                + ("" if scored else "; no scores: use a split with labels, or save predictions"),
                logger="current",
                level=logging.WARNING,
            )
        specification = self.specification
        if not scored or specification is None:
            return {}
        total = self._total(np.stack(scored))
        scores = scores_by_region(total, specification)
        self.definition = metric_definition(specification, total, len(scored))
        places = [self._regions.index(name) for name in total]
        self.by_sample = {
            number: dict(zip(total, matrices[places], strict=True))
            for number, matrices in enumerate(results)
            if matrices is not None
        }
        repeated = whole_grid_ranges(specification.grid, self.ranges)
        table = format_table(scores, specification, total[FULL].sum(axis=0), omit=repeated)
        whose = ""
        if not specification.has_own_grid:
            whose = f", on {specification.grid}, not on the grid of {specification.name}"
        print_log(
            f"Semantic scene completion, {len(scored)} samples, per cent{whose}\n{table}",
            logger="current",
        )
        return as_percentages(scores, specification)

    @property
    def _regions(self) -> list[str]:
        """Names of the R regions, the same in all processes."""
        return [FULL, *map(range_name, self.ranges), *(VIEWS if self.views else ())]

    def _total(self, results: np.ndarray) -> dict[str, np.ndarray]:
        """Sums (samples, R, K, K) of the regions that every sample knows; says which are left."""
        known = (results != _UNKNOWN).all(axis=(2, 3))
        total = dict(zip(self._regions, results.sum(axis=0), strict=True))
        if known.all():
            return total
        counts = dict(zip(self._regions, (~known).sum(axis=0), strict=True))
        unknown = [name for name, count in counts.items() if count]
        print_log(
            f"not scored: {', '.join(unknown)}; of {len(results)} samples {counts[IN_VIEW]} came "
            f"without cameras and {counts[VISIBLE] - counts[IN_VIEW]} with cameras, but without "
            "predicted depth (depth_plane)",
            logger="current",
        )
        return {name: matrix for name, matrix in total.items() if not counts[name]}

    def _confusions(self, sample: dict[str, Any], camera: Camera | None) -> np.ndarray | None:
        frame = f"{sample.get('sequence')}/{sample.get('frame')}"
        if "pred_voxels" not in sample:
            raise KeyError(f"sample {frame} has no pred_voxels; the model's predict must set it")
        named = sample.get("specification") or (self.dataset_meta or {})["specification"]
        self.specification = specification = build_specification(named)
        if sample.get("gt_voxels") is None:
            return None
        prediction = torch.as_tensor(sample["pred_voxels"]["semantics"])
        target = _scored_labels(sample["gt_voxels"], specification, frame).to(prediction.device)
        classes = specification.num_classes, specification.ignore_index
        regions = range_regions(specification.grid, self.ranges)
        try:
            if self.views and camera is not None:
                sight = self._sight(specification.grid, camera, prediction.device)
                regions |= _views(sight, sample.get("depth_plane"), self.depth_tolerance)
            found = confusion_by_region(prediction, target, regions, *classes)
        except InvalidValueError as error:
            raise InvalidValueError(f"sample {frame}: {error}") from error
        unknown = np.full_like(found[FULL], _UNKNOWN)
        return np.stack([found.get(name, unknown) for name in self._regions])

    def _sight(self, grid: VoxelGrid, camera: Camera, device: torch.device) -> VoxelSight:
        camera = camera.to("cpu").with_fingerprint()
        key = (camera.fingerprint, grid, device)
        if self._last_sight is None or self._last_sight[0] != key:
            self._last_sight = key, VoxelSight(grid, camera, device)
        return self._last_sight[1]


def _scored_labels(
    truth: Mapping[str, Any], specification: DatasetSpecification, frame: str
) -> torch.Tensor:
    """The labels (X, Y, Z), ``ignore_index`` where the benchmark's mask says not to score."""
    labels, name = torch.as_tensor(truth["semantics"]), specification.scored_mask
    if name is None:
        return labels
    if name not in truth:
        raise KeyError(f"sample {frame} has no {name}, outside of which nothing is scored")
    return labels.masked_fill(~torch.as_tensor(truth[name]).bool(), specification.ignore_index)


def _cameras(data_batch: Any) -> Sequence[Camera | None] | None:
    """Cameras of each sample of a batch, whose inputs are a dict of lists or a list of dicts."""
    inputs = data_batch.get("inputs") if isinstance(data_batch, Mapping) else None
    if inputs is None or isinstance(inputs, Mapping):
        return (inputs or {}).get("cameras")
    return [sample.get("cameras") for sample in inputs]


def _views(sight: VoxelSight, depth_plane: Any, depth_tolerance: float) -> dict[str, Window]:
    """The regions by view that can be told, with or without predicted depth (N, h, w), metres."""
    if depth_plane is None:
        return view_regions(sight.in_view)
    depth = torch.as_tensor(depth_plane).to(sight.in_view.device)
    tolerance = math.hypot(*sight.grid.voxel_size) / 2 + depth_tolerance
    return view_regions(sight.in_view, sight.visible(depth, tolerance))
