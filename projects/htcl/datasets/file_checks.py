"""Every file of a frame, read as a training reads it: what ``tools/check_data.py`` runs.

A check is plain data, so that it can go to another process. There are no rules here: each check
calls the reader or the step of the pipeline that a training calls, and lists what they refuse.
Shape letters: h w pixel, X Y Z voxel.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from htcl.datasets.depth_files import read_depth_file
from htcl.datasets.image_files import image_size, read_image
from htcl.datasets.occupancy_files import read_truth
from htcl.datasets.plausibility import check_image_size, check_mounting, check_projection
from htcl.datasets.sample_info import CameraInfo, SampleInfo, calibration_name
from htcl.datasets.scan_files import read_point_labels, read_scan
from htcl.datasets.specification import DatasetSpecification
from htcl.datasets.training_labels import make_training_label
from htcl.datasets.transforms.load_lidar import LoadLidarPoints
from htcl.datasets.transforms.load_voxel_labels import read_ready, ready_files
from htcl.datasets.voxel_files import read_voxel_labels, read_voxel_mask
from htcl.errors import InvalidValueError, UserError
from htcl.files import existing
from htcl.geometry import Camera

# How many images of a sequence say what their size is.
_SAMPLES = 5

Size = tuple[int, int]


class FileCheck(NamedTuple):
    """A check of one file, or of some that belong together.

    Attributes:
        sequence: Its sequence.
        frame: Its frame.
        kind: What is looked at, such as 'image' or 'lidar'.
        paths: The files; they are unchanged as long as these are.
        problems: Lists what is wrong.
    """

    sequence: str
    frame: str
    kind: str
    paths: tuple[str, ...]
    problems: partial[list[str]]


def check_camera(frame: SampleInfo, camera: CameraInfo, size: Size) -> None:
    """Checks the matrices of a camera, also against the (h, w) of its images.

    Raises:
        InvalidValueError: If they are none of a real camera
            (:mod:`htcl.datasets.plausibility`), or belong to images of another size.
    """
    where = calibration_name(frame, camera)
    check_projection(camera["intrinsics"], where)
    check_mounting(camera["reference_from_camera"], where)
    check_image_size(camera["intrinsics"], size, where)


def usual_sizes(frames: Sequence[SampleInfo]) -> list[Size | None]:
    """(h, w) that most images of each camera have, of a few of a sequence; None: none is sound."""
    if not frames:
        return []
    chosen = [frames[i] for i in np.linspace(0, len(frames) - 1, _SAMPLES).astype(int)]
    sizes: list[Size | None] = []
    for views in zip(*(frame["cameras"] for frame in chosen), strict=True):
        found: Counter[Size] = Counter()
        for camera in views:
            try:
                found[image_size(camera["image"])] += 1
            except UserError:
                continue
        sizes.append(found.most_common(1)[0][0] if found else None)
    return sizes


@dataclass(frozen=True)
class FrameChecks:
    """Makes the checks of the frames of a sequence.

    Attributes:
        specification: What the labels mean.
        with_labels: Whether samples have ground truth.
        with_right: Whether right images are looked at.
        with_lidar: Whether scans are looked at, if they are there.
        needs_lidar: Whether they must be there.
        sizes: (h, w) of the images of each camera, None if unknown.
    """

    specification: DatasetSpecification
    with_labels: bool
    with_right: bool
    with_lidar: bool
    needs_lidar: bool
    sizes: Sequence[Size | None]

    def of(self, frame: SampleInfo) -> Iterator[FileCheck]:
        """The checks of a frame, a sample or one that only serves as history."""
        make = partial(FileCheck, frame["sequence"], frame["frame"])
        for camera, size in zip(frame["cameras"], self.sizes, strict=True):
            right = camera.get("right") if self.with_right else None
            for path in filter(None, (camera["image"], right)):
                yield make("image", (path,), partial(_image, path, size))
            if depth := camera.get("depth"):
                yield make("depth", (depth,), partial(_of, read_depth_file, depth))
        if not frame.get("is_sample", True):
            return
        lidar, labels = frame.get("lidar"), frame.get("lidar_labels")
        if lidar and self.with_lidar and (self.needs_lidar or os.path.lexists(lidar)):
            paths = tuple(filter(None, (lidar, labels, frame.get("calib_path"))))
            with_labels = bool(labels) and (self.needs_lidar or os.path.lexists(str(labels)))
            work = partial(_lidar, frame, self.specification, tuple(self.sizes), with_labels)
            yield make("lidar", paths, work)
        if self.with_labels:
            sample = {"specification": self.specification, "labels": frame["labels"]}
            if "file" in frame["labels"]:
                path = frame["labels"]["file"]
                work = partial(_of, read_truth, path, frame["labels"]["format"], self.specification)
                yield make("voxels", (path,), work)
                return
            ready = [(path, scale) for path, scale in ready_files(sample) if os.path.lexists(path)]
            raw, invalid = (str(frame["labels"].get(key) or "") for key in ("raw", "invalid"))
            for path, scale in ready:
                work = partial(_of, read_ready, path, scale, self.specification)
                yield make("ready label", (path,), work)
            there = os.path.lexists(raw) or os.path.lexists(invalid)
            if raw and invalid and (there or not ready):
                work = partial(_voxels, raw, invalid, self.specification)
                yield make("voxels", (raw, invalid), work)
            elif not ready:
                path = ready_files(sample)[-1][0]
                yield make("ready label", (path,), partial(_of, existing, path, "training label"))


def mask_check(
    frame: SampleInfo, path: str, specification: DatasetSpecification, filled: bool
) -> FileCheck:
    """The check of a mask file (X, Y, Z) of the stored grid; ``filled``: some voxel is in it."""
    work = partial(_mask, path, specification.stored_grid.shape, filled)
    return FileCheck(frame["sequence"], frame["frame"], "mask", (path,), work)


def _of(read: Callable[..., Any], *arguments: Any) -> list[str]:
    """What a reader refuses."""
    try:
        read(*arguments)
    except UserError as error:
        return [str(error)]
    return []


def _image(path: str, size: Size | None) -> list[str]:
    problems = _of(read_image, path)
    if not problems and size is not None and (found := image_size(path)) != size:
        problems = [
            f"{path}: image is {found[1]} x {found[0]}, but the others of its camera are "
            f"{size[1]} x {size[0]}; all images of a camera must have the size that its "
            "calibration was made for"
        ]
    return problems


def _lidar(
    frame: SampleInfo,
    specification: DatasetSpecification,
    sizes: tuple[Size | None, ...],
    with_labels: bool,
) -> list[str]:
    lidar, labels = str(frame["lidar"]), str(frame["lidar_labels"])
    if problems := _of(read_scan, lidar, frame.get("lidar_columns", 4)):
        return [*problems, *(_of(_labels_alone, labels, specification) if with_labels else ())]
    if with_labels:
        problems = _of(_labels, lidar, labels, specification)
    known = all(camera["intrinsics"] is not None for camera in frame["cameras"])
    if known and None not in sizes:
        sample = {**frame, "cameras": _cameras(frame, sizes), "inputs": {"depth_maps"}}
        problems += _of(LoadLidarPoints().transform, sample)
    return problems


def _labels(lidar: str, labels: str, specification: DatasetSpecification) -> None:
    raw = read_point_labels(labels, len(read_scan(lidar)), lidar)
    specification.points_from_raw(raw, strict=True, source=labels)


def _labels_alone(path: str, specification: DatasetSpecification) -> None:
    size = existing(path, "point label").stat().st_size
    specification.points_from_raw(read_point_labels(path, size // 4), strict=True, source=path)


def _voxels(raw: str, invalid: str, specification: DatasetSpecification) -> list[str]:
    shape = specification.stored_grid.shape
    problems = _of(read_voxel_labels, raw, shape) + _of(read_voxel_mask, invalid, shape)
    if problems:
        return problems
    arrays = read_voxel_labels(raw, shape), read_voxel_mask(invalid, shape)
    return _of(make_training_label, *arrays, specification, True, raw)


def _mask(path: str, shape: tuple[int, int, int], filled: bool) -> list[str]:
    def read() -> None:
        if filled and not read_voxel_mask(path, shape).any():
            raise InvalidValueError(
                f"{path}: no voxel of the mask is set, expected those that the scan hit; the file "
                "lost its content: copy it anew"
            )
        read_voxel_mask(path, shape)

    return _of(read)


def _cameras(frame: SampleInfo, sizes: tuple[Size | None, ...]) -> Camera:
    """The cameras (N,) of a frame with their original images, all on the largest of them."""

    def stack(key: str) -> torch.Tensor:
        matrices = [np.asarray(camera[key]) for camera in frame["cameras"]]  # type: ignore[literal-required]
        return torch.from_numpy(np.stack(matrices).astype(np.float32))

    count = len(frame["cameras"])
    height, width = (max(lengths) for lengths in zip(*filter(None, sizes), strict=True))
    return Camera(
        intrinsics=stack("intrinsics"),
        reference_from_camera=stack("reference_from_camera"),
        image_transform=torch.eye(3).repeat(count, 1, 1),
        augmentation=torch.eye(4).repeat(count, 1, 1),
        size=(height, width),
        pixels="centres",
    )
