"""Which cameras a network was trained with: the ranges of four numbers.

A network learns distances from what its training's cameras show: how many pixels a metre has, how
far below the camera the road is, how far the two views of a pair and of two moments are apart. Its
calibration says all of that, but a number that no training had has no learned meaning.

Shape letters: N camera, T frame, X Y Z voxel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from htcl.datasets.specification import DatasetSpecification, build_specification
from htcl.geometry import Camera

# Metres above the road at which networks learn the origin of KITTI's voxel frame, the lidar's
# (A. Geiger et al., "Vision meets Robotics: The KITTI Dataset", IJRR 2013).
LIDAR_HEIGHT = 1.73
# Number: words and unit.
NUMBERS = {
    "focal_length": ("focal length on the network image", "pixels"),
    "baseline": ("stereo baseline", "m"),
    "camera_height": ("camera height above the road", "m"),
    "frame_spacing": ("way since the latest history frame", "m"),
}
# What the road is called.
_ROADS = ("road", "driveable_surface", "driveable surface")
# A car that moved less stood still, or the first frame stands in for its own history.
_STANDING = 0.01
# Beyond the trained range by this share counts as outside.
_MARGIN = 0.1

Ranges = dict[str, list[float]]


def rig_of(inputs: Mapping[str, Any], road_z: float = -LIDAR_HEIGHT) -> Ranges:
    """The numbers of one sample, each as [smallest, largest] over its cameras.

    Args:
        inputs: Inputs of a sample, as ``PackInputs`` gives them: ``cameras`` (N,), perhaps
            ``focal_baseline`` (N,) and ``current_from_history`` (T-1, N, 4, 4).
        road_z: Height of the road in the frame of the voxels, metres; NaN if it is unknown.
    """
    cameras: Camera = inputs["cameras"]
    focal = cameras.intrinsics[:, 0, 0]
    found = {
        "focal_length": focal * cameras.image_transform[:, 0, 0],
        "camera_height": cameras.reference_from_camera[:, 2, 3] - road_z,
    }
    if "focal_baseline" in inputs:
        found["baseline"] = inputs["focal_baseline"] / focal
    if "current_from_history" in inputs:
        way = inputs["current_from_history"][-1:, :, :3, 3].norm(dim=-1)
        found["frame_spacing"] = way[way > _STANDING]
    known = {name: values[values.isfinite()] for name, values in found.items()}
    return {
        name: [round(float(values.min()), 4), round(float(values.max()), 4)]
        for name, values in known.items()
        if len(values)
    }


def road_height(labels: Any, specification: DatasetSpecification | Mapping[str, Any]) -> float:
    """Median z in metres of the road in the nearest quarter of the labels (X, Y, Z); else NaN."""
    specification = build_specification(specification)
    names = [name for name in _ROADS if name in specification.class_names]
    if not names:
        return float("nan")
    labels = torch.as_tensor(labels)
    near = labels[: max(labels.shape[0] // 4, 1)]
    layers = (near == specification.class_names.index(names[0])).nonzero()[:, 2]
    if not len(layers):
        return float("nan")
    grid = specification.grid
    return float(grid.origin[2] + (layers.double().median() + 0.5) * grid.voxel_size[2])


def joined(ranges: Mapping[str, list[float]], more: Mapping[str, list[float]]) -> Ranges:
    """The smallest ranges that hold both."""
    both = {name: list(values) for name, values in ranges.items()}
    for name, (low, high) in more.items():
        known = both.get(name, [low, high])
        both[name] = [min(known[0], low), max(known[1], high)]
    return both


def outside(found: Mapping[str, list[float]], trained: Mapping[str, list[float]]) -> dict[str, str]:
    """What leaves the trained ranges by more than a tenth: a text by number."""
    said = {}
    for name, (low, high) in found.items():
        if name not in trained:
            continue
        least, most = trained[name]
        if low < least * (1 - _MARGIN) or high > most * (1 + _MARGIN):
            words, unit = NUMBERS[name]
            value = low if low < least * (1 - _MARGIN) else high
            said[name] = f"{words} {value:.4g} {unit} (trained with {least:.4g} to {most:.4g})"
    return said
