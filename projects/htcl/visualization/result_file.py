"""The result of one frame as one documented file.

A result file is a compressed ``.npz`` that ``numpy.load`` opens without pickle. It holds all that a
picture needs, so that pictures can be made on another machine than the predictions, without the
data set. ``docs/visualization.md`` lists its entries.

Frames: voxel frame x front, y left, z up, metres (the lidar frame, turned by the augmentation if
there was one); camera x right, y down, z front. ``a_from_b`` takes a point in b to a. Shape
letters: T frame, H W image, h w feature map, X Y Z voxel, K history frame.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from htcl.datasets.labels import CLASS_NAMES, IGNORE_INDEX

FORMAT_VERSION = 1

# Entry -> (dtype, shape with letters for free sizes). The reader checks every entry by this table.
_ENTRIES: dict[str, tuple[type, tuple[int | str, ...]]] = {
    "prediction": (np.uint8, ("X", "Y", "Z")),
    "ground_truth": (np.uint8, ("X", "Y", "Z")),
    "left": (np.uint8, ("H", "W", 3)),
    "right": (np.uint8, ("H", "W", 3)),
    "history": (np.uint8, ("K", "*", "*", 3)),
    "image_size": (np.int64, (2,)),
    "intrinsics": (np.float64, (4, 4)),
    "intrinsics_right": (np.float64, (4, 4)),
    "pixel_transform": (np.float64, (3, 3)),
    "lidar_from_camera": (np.float64, (4, 4)),
    "current_from_frame": (np.float64, ("T", 4, 4)),
    "voxel_origin": (np.float64, (3,)),
    "voxel_size": (np.float64, (3,)),
    "depth_plane": (np.float32, ("h", "w")),
    "temporal_affinity": (np.float32, ("K", "h", "w")),
}
_OPTIONAL = {
    "ground_truth",
    "right",
    "history",
    "intrinsics_right",
    "current_from_frame",
    "depth_plane",
    "temporal_affinity",
}


@dataclass(eq=False)
class FrameResult:
    """Prediction of one frame with what is needed to look at it.

    Attributes:
        prediction: Labels, 0 empty, 1..19 classes, uint8 (X, Y, Z).
        left: The left image as the network saw it, RGB uint8 (H, W, 3).
        intrinsics: Left projection matrix for pixels of the original image, (4, 4); the 4th column
            is kept.
        lidar_from_camera: Motion from the camera frame to the frame of the voxels, (4, 4).
        voxel_origin: Lower corner of the grid in metres, (3,).
        voxel_size: Edges of a cell in metres, (3,); a number is repeated.
        sequence: Name of the sequence, such as "08".
        frame: Name of the frame, such as "000005".
        image_size: Height and width of the original image, to which the intrinsics belong; that of
            ``left`` if left out.
        pixel_transform: Homogeneous (3, 3): pixel of ``left`` = pixel_transform @ original pixel;
            the identity if left out.
        class_names: Name of every label.
        ground_truth: Labels as above, 255 not scored, uint8 (X, Y, Z).
        right: The right image as the network saw it, RGB uint8.
        intrinsics_right: Right projection matrix as ``intrinsics``, (4, 4).
        history: Earlier left frames, oldest first, RGB uint8 (K, H', W', 3); their size may differ
            from that of ``left``.
        current_from_frame: Motion from the camera frame at t to the current camera frame, oldest
            first, last the identity, (T, 4, 4).
        depth_plane: Depth of the best plane of each pixel in metres, 0 = none, float32 (h, w).
        temporal_affinity: Affinity of each pixel to each history frame, float32 (K, h, w).
    """

    prediction: np.ndarray
    left: np.ndarray
    intrinsics: np.ndarray
    lidar_from_camera: np.ndarray
    voxel_origin: np.ndarray
    voxel_size: np.ndarray
    sequence: str
    frame: str
    image_size: np.ndarray | None = None
    pixel_transform: np.ndarray | None = None
    class_names: tuple[str, ...] = CLASS_NAMES
    ground_truth: np.ndarray | None = None
    right: np.ndarray | None = None
    intrinsics_right: np.ndarray | None = None
    history: np.ndarray | None = None
    current_from_frame: np.ndarray | None = None
    depth_plane: np.ndarray | None = None
    temporal_affinity: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Fills in the defaults and checks every entry."""
        self.voxel_size = np.broadcast_to(np.asarray(self.voxel_size, dtype=np.float64), 3)
        if self.image_size is None:
            self.image_size = np.array(np.shape(self.left)[:2])
        if self.pixel_transform is None:
            self.pixel_transform = np.eye(3)
        if self.temporal_affinity is not None and np.ndim(self.temporal_affinity) == 2:
            self.temporal_affinity = np.asarray(self.temporal_affinity)[None]
        for name, (dtype, shape) in _ENTRIES.items():
            setattr(self, name, _checked(name, getattr(self, name), dtype, shape))
        if self.ground_truth is not None and self.ground_truth.shape != self.prediction.shape:
            raise ValueError(
                f"ground_truth has shape {self.ground_truth.shape}, "
                f"but prediction {self.prediction.shape}"
            )
        self.class_names = tuple(self.class_names)
        for name, allowed in (("prediction", None), ("ground_truth", IGNORE_INDEX)):
            labels = getattr(self, name)
            if labels is None:
                continue
            known = (labels < len(self.class_names)) | (labels == allowed)
            if not known.all():
                also = "" if allowed is None else f" or {allowed} (not scored)"
                raise ValueError(
                    f"{name} holds label {int(labels[~known].max())}, expected "
                    f"0..{len(self.class_names) - 1}{also}"
                )

    @property
    def name(self) -> str:
        """Sequence and frame, as "08/000005"."""
        return f"{self.sequence}/{self.frame}"

    @property
    def left_projection(self) -> np.ndarray:
        """Projection of the camera frame to pixels of ``left``, (4, 4)."""
        projection = self.intrinsics.copy()
        projection[:3] = self.pixel_transform @ self.intrinsics[:3]
        return projection

    def save(self, path: str | Path) -> Path:
        """Writes the file atomically, making its folder; returns its path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        entries = {field.name: getattr(self, field.name) for field in fields(self)}
        entries = {name: np.asarray(value) for name, value in entries.items() if value is not None}
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            np.savez_compressed(file, format_version=np.int64(FORMAT_VERSION), **entries)
        os.replace(part, path)
        return path

    @classmethod
    def load(cls, path: str | Path) -> FrameResult:
        """Reads and checks a file.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no result file, or an entry is missing or wrong; the message names
                file and entry.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no result file {path}; tools/save_vis.py writes them")
        try:
            with np.load(path, allow_pickle=False) as archive:
                entries: dict[str, Any] = dict(archive)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{path} is not a result file of tools/save_vis.py: {error}"
            ) from error
        version = entries.pop("format_version", None)
        if version is None or int(version) != FORMAT_VERSION:
            raise ValueError(f"{path}: format_version is {version}, expected {FORMAT_VERSION}")
        optional = _OPTIONAL | {"image_size", "pixel_transform", "class_names"}
        needed = {field.name for field in fields(cls)} - optional
        if missing := sorted(needed - set(entries)):
            raise ValueError(f"{path}: entries {missing} are missing")
        if unknown := sorted(set(entries) - needed - optional):
            raise ValueError(f"{path}: unknown entries {unknown}")
        for name in ("sequence", "frame"):
            entries[name] = str(entries[name])
        if "class_names" in entries:
            entries["class_names"] = tuple(str(name) for name in entries["class_names"])
        try:
            return cls(**entries)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def build_frame_result(
    inputs: Mapping[str, Any], data_sample: Any, class_names: tuple[str, ...] = CLASS_NAMES
) -> FrameResult:
    """Collects the result of one frame from a sample and its prediction.

    Args:
        inputs: Inputs of one sample **before** the data preprocessor, as the data contract names
            them. Used: ``left``, ``right``, ``frames``, ``intrinsics_left``, ``intrinsics_right``,
            ``pixel_transform``, ``lidar_from_camera``, ``augmented_from_lidar``,
            ``current_from_frame``; only left, intrinsics_left and lidar_from_camera must be there.
        data_sample: The predicted ``Det3DDataSample``: ``pred_voxels.semantics``, optionally
            ``gt_voxels.semantics``, ``depth_plane`` (h, w) and ``temporal_affinity`` (h, w) or (K,
            h, w); metainfo sequence, frame, voxel_origin, voxel_size, image_size.
        class_names: Name of every label.

    Raises:
        KeyError: If the sample lacks something that is needed.
    """
    meta = data_sample.metainfo
    for place, mapping, keys in (
        ("inputs", inputs, ("left", "intrinsics_left", "lidar_from_camera")),
        ("metainfo", meta, ("sequence", "frame", "voxel_origin", "voxel_size")),
    ):
        if missing := [key for key in keys if key not in mapping]:
            raise KeyError(f"{place} of the sample lack {missing}; a result file needs them")
    if "pred_voxels" not in data_sample:
        raise KeyError("the data sample has no pred_voxels: pass what model.test_step returns")

    def numpy_of(value: Any) -> np.ndarray | None:
        if value is None:
            return None
        return value.detach().float().cpu().numpy() if _is_float(value) else np.asarray(value.cpu())

    def image_of(key: str) -> np.ndarray | None:
        image = numpy_of(inputs.get(key))
        return None if image is None else np.moveaxis(image, -3, -1)

    voxel_from_camera = numpy_of(inputs["lidar_from_camera"]).astype(np.float64)
    if "augmented_from_lidar" in inputs:
        voxel_from_camera = numpy_of(inputs["augmented_from_lidar"]) @ voxel_from_camera
    truth = data_sample.gt_voxels.semantics if "gt_voxels" in data_sample else None
    frames = image_of("frames")
    return FrameResult(
        prediction=numpy_of(data_sample.pred_voxels.semantics),
        ground_truth=numpy_of(truth),
        left=image_of("left"),
        right=image_of("right"),
        history=None if frames is None or len(frames) < 2 else frames[:-1],
        image_size=np.asarray(meta["image_size"])[:2] if "image_size" in meta else None,
        intrinsics=numpy_of(inputs["intrinsics_left"]),
        intrinsics_right=numpy_of(inputs.get("intrinsics_right")),
        pixel_transform=numpy_of(inputs.get("pixel_transform")),
        lidar_from_camera=voxel_from_camera,
        current_from_frame=numpy_of(inputs.get("current_from_frame")),
        voxel_origin=np.asarray(meta["voxel_origin"]),
        voxel_size=np.asarray(meta["voxel_size"]),
        sequence=str(meta["sequence"]),
        frame=str(meta["frame"]),
        class_names=class_names,
        depth_plane=numpy_of(data_sample.get("depth_plane")),
        temporal_affinity=numpy_of(data_sample.get("temporal_affinity")),
    )


def _is_float(value: Any) -> bool:
    return bool(getattr(value, "is_floating_point", lambda: False)())


def _checked(name: str, value: Any, dtype: type, shape: tuple[int | str, ...]) -> np.ndarray | None:
    """Returns the entry as an array of the right type, or says what is wrong with it."""
    if value is None:
        if name in _OPTIONAL:
            return None
        raise ValueError(f"entry {name} is missing")
    array = np.asarray(value)
    found, wanted = array.shape, "(" + ", ".join(str(s) for s in shape) + ")"
    if len(found) != len(shape) or any(
        isinstance(s, int) and s != f for s, f in zip(shape, found, strict=True)
    ):
        raise ValueError(f"entry {name} has shape {found}, expected {wanted}")
    if dtype is np.uint8 and array.dtype != np.uint8:
        raise ValueError(f"entry {name} is {array.dtype}, expected uint8")
    if dtype is not np.uint8 and array.dtype.kind not in "iuf":
        raise ValueError(f"entry {name} is {array.dtype}, expected numbers")
    return array.astype(dtype, copy=False)
