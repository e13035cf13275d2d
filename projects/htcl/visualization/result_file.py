"""The result of one frame as one documented file.

A result file is a compressed ``.npz`` that ``numpy.load`` opens without pickle. It holds all that a
picture needs, so that pictures can be made on another machine than the predictions, without the
data set. ``docs/visualization.md`` lists its entries.

Frames: voxel frame x front, y left, z up, metres (turned by the augmentation if there was one);
camera x right, y down, z front. ``a_from_b`` takes a point in b to a. Shape letters: N camera, K
history frame, H W image, h w feature map, X Y Z voxel, C class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from htcl.array_files import read_npz
from htcl.errors import InvalidValueError, MissingFileError
from htcl.files import atomic_write, plain_name
from htcl.geometry import VoxelGrid, field_of_view

FORMAT_VERSION = 2
# Entries that are one text or number, and numpy's letters for their types.
_SINGLE = {"sequence": "U", "frame": "U", "front": "U", "empty_class": "iu", "ignore_index": "iu"}


@dataclass(eq=False)
class FrameResult:
    """Prediction of one frame with what is needed to look at it; its fields say type and shape.

    Attributes:
        prediction: Labels.
        images: The images as the network saw them, RGB.
        intrinsics: Projection matrix of each camera for pixels of its original image; the 4th
            column is kept.
        reference_from_camera: Motion from each camera's frame to the frame of the voxels.
        voxel_origin: Lower corner of the grid in metres.
        voxel_size: Edges of a cell in metres; a number is repeated.
        front: Axis of the voxel frame that points to the front of the car, 'x' (if left out) or
            'y'.
        class_names: Name of every label (C).
        palette: RGB colour of every label.
        sequence: Name of the sequence, such as "08".
        frame: Name of the frame, such as "000005".
        empty_class: Label of free space.
        ignore_index: Label of ground truth that is not scored.
        ground_truth: Labels.
        right: The right partners of ``images``.
        history: Earlier images, oldest first, RGB; their size may differ from that of ``images``.
        image_sizes: Height and width of each original image, to which the intrinsics belong; those
            of ``images`` if left out.
        image_transforms: Homogeneous: pixel of ``images`` = image_transforms @ original pixel; the
            identity if left out.
        focal_baseline: Focal length times baseline of each pair, original pixels times metres.
        current_from_history: Motion from the camera frame at each earlier time to the current
            camera frame.
        depth_plane: Depth of the best plane of each pixel in metres, 0 = none.
        temporal_affinity: Agreement of each pixel with the history.

    Raises:
        InvalidValueError: If an entry is wrong; it is named.
    """

    # Type and shape, which are checked: a letter is one number in all entries, "*" is any.
    prediction: np.ndarray = field(metadata={"uint8": "X Y Z"})
    images: np.ndarray = field(metadata={"uint8": "N H W 3"})
    intrinsics: np.ndarray = field(metadata={"float64": "N 4 4"})
    reference_from_camera: np.ndarray = field(metadata={"float64": "N 4 4"})
    voxel_origin: np.ndarray = field(metadata={"float64": "3"})
    voxel_size: np.ndarray = field(metadata={"float64": "3"})
    class_names: tuple[str, ...]
    palette: np.ndarray = field(metadata={"uint8": "C 3"})
    sequence: str
    frame: str
    empty_class: int = 0
    ignore_index: int = 255
    front: str | None = None
    image_sizes: np.ndarray | None = field(default=None, metadata={"int64": "N 2"})
    image_transforms: np.ndarray | None = field(default=None, metadata={"float64": "N 3 3"})
    ground_truth: np.ndarray | None = field(default=None, metadata={"uint8": "X Y Z"})
    right: np.ndarray | None = field(default=None, metadata={"uint8": "N H W 3"})
    focal_baseline: np.ndarray | None = field(default=None, metadata={"float64": "N"})
    history: np.ndarray | None = field(default=None, metadata={"uint8": "K N * * 3"})
    current_from_history: np.ndarray | None = field(default=None, metadata={"float64": "K N 4 4"})
    depth_plane: np.ndarray | None = field(default=None, metadata={"float32": "N h w"})
    temporal_affinity: np.ndarray | None = field(default=None, metadata={"float32": "N h w"})

    def __post_init__(self) -> None:
        """Fills in the defaults and checks every entry."""
        # Pictures and meshes are written under these names.
        for what in ("sequence", "frame"):
            plain_name(getattr(self, what), what)
        if not isinstance(self.class_names, tuple | list) and np.ndim(self.class_names) != 1:
            raise InvalidValueError("entry class_names is no list of names")
        self.class_names = tuple(str(name) for name in self.class_names)
        self.voxel_size = np.broadcast_to(np.asarray(self.voxel_size, dtype=np.float64), 3)
        self.front = self.front or "x"
        cameras, *image_size = np.shape(self.images)[:3] or (0,)
        if self.image_sizes is None:
            self.image_sizes = np.tile(image_size, (cameras, 1))
        if self.image_transforms is None:
            self.image_transforms = np.tile(np.eye(3), (cameras, 1, 1))
        # What the letters of the shapes stand for.
        sizes = {"C": len(self.class_names)}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value is None and entry.default is None:
                continue
            for dtype, shape in entry.metadata.items():
                setattr(self, entry.name, _checked(entry.name, value, dtype, shape, sizes))
        for name, allowed in (("prediction", None), ("ground_truth", self.ignore_index)):
            labels = getattr(self, name)
            if labels is None:
                continue
            known = (labels < len(self.class_names)) | (labels == allowed)
            if not known.all():
                also = "" if allowed is None else f" or {allowed} (not scored)"
                raise InvalidValueError(
                    f"{name} holds label {int(labels[~known].max())}, expected "
                    f"0..{len(self.class_names) - 1}{also}"
                )

    @property
    def name(self) -> str:
        """Sequence and frame, as "08/000005"."""
        return f"{self.sequence}/{self.frame}"

    @property
    def grid(self) -> VoxelGrid:
        """Where the voxels are."""
        shape, front = self.prediction.shape, self.front or "x"
        return VoxelGrid(tuple(self.voxel_origin), tuple(self.voxel_size), shape, front)

    @property
    def drawn_classes(self) -> list[int]:
        """All classes but the empty one."""
        return [k for k in range(len(self.class_names)) if k != self.empty_class]

    @property
    def projections(self) -> np.ndarray:
        """Projection of each camera's frame to pixels of its image, (N, 4, 4)."""
        projections = self.intrinsics.copy()
        projections[:, :3] = self.image_transforms @ self.intrinsics[:, :3]
        return projections

    @property
    def in_view(self) -> np.ndarray:
        """Which voxels have their centre in an image, bool (X, Y, Z)."""
        size = self.images.shape[1:3]
        return field_of_view(self.grid, self.projections, self.reference_from_camera, size)

    def save(self, path: str | Path) -> Path:
        """Writes the file atomically, making its folder; returns its path."""
        entries = {name: value for name, value in vars(self).items() if value is not None}
        with atomic_write(path) as file:
            np.savez_compressed(file, format_version=np.int64(FORMAT_VERSION), **entries)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> FrameResult:
        """Reads and checks a file.

        Raises:
            MissingFileError: If there is no such file.
            InvalidValueError: If it is no result file, or an entry is missing or wrong; the message
                names file and entry.
        """
        path = Path(path)
        if not path.is_file():
            raise MissingFileError(f"no result file {path}; tools/save_vis.py writes them")
        entries: dict[str, Any] = read_npz(
            path, "result", "expected a result file of tools/save_vis.py: run it again"
        )
        version = entries.pop("format_version", None)
        if version is None or version.tolist() != FORMAT_VERSION:
            raise InvalidValueError(
                f"{path}: format_version is {version}, expected {FORMAT_VERSION}: another version "
                "of this project wrote it; run tools/save_vis.py again"
            )
        defaults = {entry.name: entry.default for entry in fields(cls)}
        needed = {name for name, default in defaults.items() if default is not None}
        if missing := sorted(needed - set(entries)):
            raise InvalidValueError(f"{path}: entries {missing} are missing")
        if unknown := sorted(set(entries) - set(defaults)):
            raise InvalidValueError(f"{path}: unknown entries {unknown}")
        try:
            for name, kinds in _SINGLE.items():
                if name in entries:
                    entries[name] = _single(name, entries[name], kinds)
            return cls(**entries)
        except InvalidValueError as error:
            raise InvalidValueError(f"{path}: {error}") from error


def build_frame_result(inputs: Mapping[str, Any], data_sample: Any) -> FrameResult:
    """Collects the result of one frame from a sample and its prediction.

    Args:
        inputs: Inputs of one sample **before** the data preprocessor, as the data contract names
            them; only ``images`` and ``cameras`` must be there.
        data_sample: The predicted ``Det3DDataSample``: ``pred_voxels.semantics``, optionally
            ``gt_voxels.semantics``, ``depth_plane`` and ``temporal_affinity`` (N, h, w); metainfo
            sequence, frame, image_sizes, specification.

    Raises:
        KeyError: If the sample lacks something that is needed.
    """
    meta = data_sample.metainfo
    if missing := {"images", "cameras"} - set(inputs) or {"specification"} - set(meta):
        raise KeyError(f"the sample lacks {sorted(missing)}; a result needs them")
    if "pred_voxels" not in data_sample:
        raise KeyError("the data sample has no pred_voxels: pass what model.test_step returns")
    camera, specification = inputs["cameras"], meta["specification"]
    images = {key: inputs[key] for key in ("images", "right", "history") if key in inputs}
    optional = {key: inputs.get(key) for key in ("focal_baseline", "current_from_history")}
    optional |= {key: data_sample.get(key) for key in ("depth_plane", "temporal_affinity")}
    if "gt_voxels" in data_sample:
        optional["ground_truth"] = data_sample.gt_voxels.semantics
    return FrameResult(
        prediction=_numpy(data_sample.pred_voxels.semantics),
        **{key: np.moveaxis(_numpy(value), -3, -1) for key, value in images.items()},
        **{key: _numpy(value) for key, value in optional.items() if value is not None},
        image_sizes=meta.get("image_sizes"),
        intrinsics=_numpy(camera.intrinsics),
        image_transforms=_numpy(camera.image_transform),
        reference_from_camera=_numpy(camera.augmented_from_camera),
        voxel_origin=specification.grid.origin,
        voxel_size=specification.grid.voxel_size,
        front=specification.grid.front,
        class_names=specification.class_names,
        palette=specification.colours,
        empty_class=specification.empty_class,
        ignore_index=specification.ignore_index,
        sequence=str(meta["sequence"]),
        frame=str(meta["frame"]),
    )


def _single(name: str, value: np.ndarray, kinds: str) -> Any:
    if value.ndim or value.dtype.kind not in kinds:
        raise InvalidValueError(
            f"entry {name} is {value.dtype} {value.shape}, expected one "
            f"{'text' if kinds == 'U' else 'whole number'}"
        )
    return value.item()


def _numpy(value: torch.Tensor) -> np.ndarray:
    value = value.detach().cpu()
    # numpy has no bfloat16.
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def _checked(name: str, value: Any, dtype: str, shape: str, sizes: dict[str, int]) -> np.ndarray:
    """The entry as an array of its type, or an error; adds what letters stand for to ``sizes``."""
    if value is None:
        raise InvalidValueError(f"entry {name} is missing")
    array, letters = np.asarray(value), shape.split()
    wanted = [str(sizes.get(letter, letter)) for letter in letters]
    if array.ndim != len(wanted) or any(
        size.isdigit() and int(size) != found
        for size, found in zip(wanted, array.shape, strict=True)
    ):
        raise InvalidValueError(
            f"entry {name} has shape {array.shape}, expected ({', '.join(wanted)})"
        )
    if array.dtype.kind not in "iuf" or (dtype == "uint8" and array.dtype != np.uint8):
        kind = "uint8" if dtype == "uint8" else "numbers"
        raise InvalidValueError(f"entry {name} is {array.dtype}, expected {kind}")
    sizes.update({k: n for k, n in zip(letters, array.shape, strict=True) if k.isalpha()})
    return array.astype(dtype, copy=False)
