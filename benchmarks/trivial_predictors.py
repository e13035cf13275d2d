"""Predictors that look at no image, which a network has to beat, and their scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from mmengine.registry import DATASETS

from htcl.datasets.rig_range import LIDAR_HEIGHT
from htcl.datasets.specification import DatasetSpecification
from htcl.evaluation.ssc_metric import SSCMetric

# Scores of a table of a whole scene: IoU and mIoU, to 51.2 m and to two shorter ranges.
COLUMNS = ("IoU", "mIoU", "12.8m/IoU", "12.8m/mIoU", "25.6m/IoU", "25.6m/mIoU")


def trivial_guesses(training: Any, specification: DatasetSpecification) -> dict[str, torch.Tensor]:
    """All empty, the road plane (where a road is a class) and the prior of a training data set."""
    guesses = {"all empty": all_empty(specification)}
    if "road" in specification.class_names:
        guesses["road plane"] = road_plane(specification)
    prior = class_prior(scored_labels(training, specification), specification)
    return {**guesses, "class prior": prior}


def all_empty(specification: DatasetSpecification) -> torch.Tensor:
    """Free space everywhere, (X, Y, Z) uint8."""
    return torch.full(specification.grid.shape, specification.empty_class, dtype=torch.uint8)


def road_plane(specification: DatasetSpecification) -> torch.Tensor:
    """One layer of road at the height of the wheels of KITTI's car, (X, Y, Z) uint8."""
    grid, plane = specification.grid, all_empty(specification)
    layer = int((-LIDAR_HEIGHT - grid.origin[2]) / grid.voxel_size[2])
    plane[:, :, layer] = specification.class_names.index("road")
    return plane


def class_prior(
    labels: Iterable[torch.Tensor], specification: DatasetSpecification
) -> torch.Tensor:
    """The most frequent class of each voxel, (X, Y, Z) uint8; empty where nothing is known."""
    counts = torch.zeros(specification.num_classes, *specification.grid.shape, dtype=torch.int16)
    for label in labels:
        for index in range(specification.num_classes):
            counts[index] += label == index
    prior = counts.argmax(dim=0).to(torch.uint8)
    return prior.masked_fill(counts.sum(dim=0) == 0, specification.empty_class)


def labels_alone(loader: Mapping[str, Any]) -> Any:
    """The data set of a config's loader; its samples have labels and no images."""
    return DATASETS.build({**loader["dataset"], "augmentations": [], "inputs": []})


def scored_labels(dataset: Any, specification: DatasetSpecification) -> Iterator[torch.Tensor]:
    """The labels (X, Y, Z) of a data set, ignored where the benchmark does not score."""
    for index in range(len(dataset)):
        truth = dataset[index]["data_samples"].gt_voxels
        labels = torch.as_tensor(truth.semantics)
        if specification.scored_mask is not None:
            mask = torch.as_tensor(truth.get(specification.scored_mask)).bool()
            labels = labels.masked_fill(~mask, specification.ignore_index)
        yield labels


def score_all(
    predictions: Mapping[str, torch.Tensor],
    dataset: Any,
    specification: DatasetSpecification,
    ranges: Sequence[float] = (12.8, 25.6, 51.2),
) -> dict[str, dict[str, float]]:
    """Scores predictions (X, Y, Z) that are the same for every frame."""
    metrics = {name: SSCMetric(ranges, views=False) for name in predictions}
    for index in range(len(dataset)):
        sample = dataset[index]["data_samples"].to_dict()
        for name, metric in metrics.items():
            guess = {**sample, "pred_voxels": {"semantics": predictions[name]}}
            metric.process(None, [{**guess, "specification": specification}])
    return {name: metric.compute_metrics(metric.results) for name, metric in metrics.items()}


def table(scores: Mapping[str, Mapping[str, float]], columns: Sequence[str]) -> str:
    """Markdown table in per cent."""
    lines = [f"| predictor | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    for name, row in scores.items():
        lines.append(f"| {name} | {' | '.join(f'{row[column]:.1f}' for column in columns)} |")
    return "\n".join(lines)
