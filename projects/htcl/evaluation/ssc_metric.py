"""mmengine metric of semantic scene completion: K class, R range, X Y Z voxel."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS

from htcl.datasets.specification import DatasetSpecification, build_specification
from htcl.errors import InvalidValueError
from htcl.evaluation.report import as_percentages, format_table, scores_by_range
from htcl.evaluation.ssc_confusion import confusion_by_range, near_box


@METRICS.register_module()
class SSCMetric(BaseMetric):
    """Completion IoU, precision, recall, class IoU and mIoU of one confusion matrix over the split.

    The definition is the benchmark's own (:mod:`htcl.evaluation.ssc_confusion`). Each sample
    contributes exact integer matrices, which mmengine gathers across processes and cuts to the
    length of the data set, so samples that a distributed sampler repeats count once. Samples
    without ground truth are left out, with a message; if none has any, there are no scores.

    Classes and grid are those of the samples' specification (their meta information, else that of
    the data set).

    Args:
        ranges: Sides in metres of squares in front of the car that are scored too (see
            :func:`htcl.evaluation.ssc_confusion.near_box`); empty for none.
        **kwargs: Arguments of ``mmengine.evaluator.BaseMetric``.
    """

    # Not None, which mmengine warns about: plain names are meant.
    default_prefix = ""

    def __init__(self, ranges: Sequence[float] = (12.8, 25.6, 51.2), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ranges = tuple(ranges)
        self.specification: DatasetSpecification | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Counts samples with ``pred_voxels.semantics`` and ``gt_voxels.semantics`` (X, Y, Z).

        Raises:
            KeyError: If a sample has no prediction, or nothing names the specification.
            InvalidValueError: If prediction and ground truth do not fit; the frame is named.
        """
        for sample in data_samples:
            self.results.append(self._confusions(sample))

    def compute_metrics(self, results: list[np.ndarray | None]) -> dict[str, float]:
        """Sums the matrices (1 + R, K, K) of all samples with ground truth and scores them.

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
        total = np.stack(scored).sum(axis=0, dtype=np.int64)
        scores = scores_by_range(total, self.ranges, specification)
        table = format_table(scores, specification, total[0].sum(axis=0))
        print_log(
            f"Semantic scene completion, {len(scored)} samples, per cent\n{table}", logger="current"
        )
        return as_percentages(scores, specification)

    def _confusions(self, sample: dict[str, Any]) -> np.ndarray | None:
        frame = f"{sample.get('sequence')}/{sample.get('frame')}"
        if "pred_voxels" not in sample:
            raise KeyError(f"sample {frame} has no pred_voxels; the model's predict must set it")
        named = sample.get("specification") or (self.dataset_meta or {})["specification"]
        self.specification = specification = build_specification(named)
        if sample.get("gt_voxels") is None:
            return None
        prediction = torch.as_tensor(sample["pred_voxels"]["semantics"])
        target = torch.as_tensor(sample["gt_voxels"]["semantics"]).to(prediction.device)
        boxes = [near_box(specification.grid, reach) for reach in self.ranges]
        try:
            return confusion_by_range(prediction, target, boxes, specification)
        except InvalidValueError as error:
            raise InvalidValueError(f"sample {frame}: {error}") from error
