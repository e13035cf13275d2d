"""The result of one frame as one documented file.

A result file is a compressed ``.npz`` that ``numpy.load`` opens without pickle. It holds all that a
picture needs, so that pictures can be made on another machine than the predictions, without the
data set. ``docs/visualization.md`` lists its entries.

Frames: voxel frame x front, y left, z up, metres (turned by the augmentation if there was one);
camera x right, y down, z front. ``a_from_b`` takes a point in b to a. Shape letters: N camera, K
history frame, H W image, h w feature map, X Y Z voxel, C class.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from htcl.errors import InvalidValueError, MissingFileError
from htcl.files import atomic_write
from htcl.geometry import VoxelGrid

FORMAT_VERSION = 2

# Entry -> (dtype, shape with letters for sizes). The reader checks every entry by this table: a
# letter stands for one number, "*" for any.
_ENTRIES: dict[str, tuple[type, tuple[int | str, ...]]] = {
    "prediction": (np.uint8, ("X", "Y", "Z")),
    "ground_truth": (np.uint8, ("X", "Y", "Z")),
    "images": (np.uint8, ("N", "H", "W", 3)),
    "right": (np.uint8, ("N", "H", "W", 3)),
    "history": (np.uint8, ("K", "N", "*", "*", 3)),
    "image_sizes": (np.int64, ("N", 2)),
    "intrinsics": (np.float64, ("N", 4, 4)),
    "image_transforms": (np.float64, ("N", 3, 3)),
    "reference_from_camera": (np.float64, ("N", 4, 4)),
    "focal_baseline": (np.float64, ("N",)),
    "current_from_history": (np.float64, ("K", "N", 4, 4)),
    "voxel_origin": (np.float64, (3,)),
    "voxel_size": (np.float64, (3,)),
    "palette": (np.uint8, ("C", 3)),
    "depth_plane": (np.float32, ("N", "h", "w")),
    "temporal_affinity": (np.float32, ("N", "h", "w")),
}


@dataclass(eq=False)
class FrameResult:
    """Prediction of one frame with what is needed to look at it.

    Attributes:
        prediction: Labels, uint8 (X, Y, Z).
        images: The images as the network saw them, RGB uint8 (N, H, W, 3).
        intrinsics: Projection matrix of each camera for pixels of its original image (N, 4, 4); the
            4th column is kept.
        reference_from_camera: Motion from each camera's frame to the frame of the voxels
            (N, 4, 4).
        voxel_origin: Lower corner of the grid in metres, (3,).
        voxel_size: Edges of a cell in metres, (3,); a number is repeated.
        class_names: Name of every label (C).
        palette: RGB colour of every label, uint8 (C, 3).
        sequence: Name of the sequence, such as "08".
        frame: Name of the frame, such as "000005".
        empty_class: Label of free space.
        ignore_index: Label of ground truth that is not scored.
        image_sizes: Height and width of each original image (N, 2), to which the intrinsics belong;
            those of ``images`` if left out.
        image_transforms: Homogeneous (N, 3, 3): pixel of ``images`` = image_transforms @ original
            pixel; the identity if left out.
        ground_truth: Labels, uint8 (X, Y, Z).
        right: The right partners of ``images`` (N, H, W, 3).
        focal_baseline: Focal length times baseline of each pair (N,), original pixels times metres.
        history: Earlier images, oldest first, RGB uint8 (K, N, H', W', 3); their size may differ
            from that of ``images``.
        current_from_history: Motion from the camera frame at each earlier time to the current
            camera frame (K, N, 4, 4).
        depth_plane: Depth of the best plane of each pixel in metres, 0 = none, float32 (N, h, w).
        temporal_affinity: Agreement of each pixel with the history, float32 (N, h, w).

    Raises:
        InvalidValueError: If an entry is wrong; it is named.
    """

    prediction: np.ndarray
    images: np.ndarray
    intrinsics: np.ndarray
    reference_from_camera: np.ndarray
    voxel_origin: np.ndarray
    voxel_size: np.ndarray
    class_names: tuple[str, ...]
    palette: np.ndarray
    sequence: str
    frame: str
    empty_class: int = 0
    ignore_index: int = 255
    image_sizes: np.ndarray | None = None
    image_transforms: np.ndarray | None = None
    ground_truth: np.ndarray | None = None
    right: np.ndarray | None = None
    focal_baseline: np.ndarray | None = None
    history: np.ndarray | None = None
    current_from_history: np.ndarray | None = None
    depth_plane: np.ndarray | None = None
    temporal_affinity: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Fills in the defaults and checks every entry."""
        self.class_names = tuple(str(name) for name in self.class_names)
        self.voxel_size = np.broadcast_to(np.asarray(self.voxel_size, dtype=np.float64), 3)
        cameras, *image_size = np.shape(self.images)[:3] or (0,)
        if self.image_sizes is None:
            self.image_sizes = np.tile(image_size, (cameras, 1))
        if self.image_transforms is None:
            self.image_transforms = np.tile(np.eye(3), (cameras, 1, 1))
        sizes: dict[int | str, int] = {"C": len(self.class_names)}
        for name, (dtype, letters) in _ENTRIES.items():
            setattr(self, name, _checked(name, getattr(self, name), dtype, letters, sizes))
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
        return VoxelGrid(tuple(self.voxel_origin), tuple(self.voxel_size), self.prediction.shape)

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

    def save(self, path: str | Path) -> Path:
        """Writes the file atomically, making its folder; returns its path."""
        entries = {field.name: getattr(self, field.name) for field in fields(self)}
        entries = {name: np.asarray(value) for name, value in entries.items() if value is not None}
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
        try:
            with np.load(path, allow_pickle=False) as archive:
                entries: dict[str, Any] = dict(archive)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InvalidValueError(
                f"{path} is not a result file of tools/save_vis.py: {error}"
            ) from error
        version = entries.pop("format_version", None)
        if version is None or int(version) != FORMAT_VERSION:
            raise InvalidValueError(
                f"{path}: format_version is {version}, expected {FORMAT_VERSION}: another version "
                "of this project wrote it; run tools/save_vis.py again"
            )
        needed = {field.name for field in fields(cls) if field.default is not None}
        if missing := sorted(needed - set(entries)):
            raise InvalidValueError(f"{path}: entries {missing} are missing")
        if unknown := sorted(set(entries) - {field.name for field in fields(cls)}):
            raise InvalidValueError(f"{path}: unknown entries {unknown}")
        for kind, names in ((str, ("sequence", "frame")), (int, ("empty_class", "ignore_index"))):
            entries.update({name: kind(entries[name]) for name in names})
        try:
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
    grid, truth = specification.grid, data_sample.get("gt_voxels")
    images = {
        key: np.moveaxis(_numpy(inputs[key]), -3, -1)
        for key in ("images", "right", "history")
        if key in inputs
    }

    return FrameResult(
        prediction=_numpy(data_sample.pred_voxels.semantics),
        ground_truth=None if truth is None else _numpy(truth.semantics),
        **images,
        image_sizes=np.asarray(meta["image_sizes"]) if "image_sizes" in meta else None,
        intrinsics=_numpy(camera.intrinsics),
        focal_baseline=_optional(inputs.get("focal_baseline")),
        image_transforms=_numpy(camera.image_transform),
        reference_from_camera=_numpy(camera.augmented_from_camera),
        current_from_history=_optional(inputs.get("current_from_history")),
        voxel_origin=np.array(grid.origin),
        voxel_size=np.array(grid.voxel_size),
        class_names=specification.class_names,
        palette=specification.colours,
        empty_class=specification.empty_class,
        ignore_index=specification.ignore_index,
        sequence=str(meta["sequence"]),
        frame=str(meta["frame"]),
        depth_plane=_optional(data_sample.get("depth_plane")),
        temporal_affinity=_optional(data_sample.get("temporal_affinity")),
    )


def _optional(value: torch.Tensor | None) -> np.ndarray | None:
    return None if value is None else _numpy(value)


def _numpy(value: torch.Tensor) -> np.ndarray:
    value = value.detach().cpu()
    # numpy has no bfloat16.
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def _checked(
    name: str,
    value: Any,
    dtype: type,
    letters: tuple[int | str, ...],
    sizes: dict[int | str, int],
) -> np.ndarray | None:
    """Returns the entry as an array of the right type, or says what is wrong with it.

    ``sizes`` collects what each letter stands for.
    """
    if value is None:
        if getattr(FrameResult, name, ...) is None:
            return None
        raise InvalidValueError(f"entry {name} is missing")
    array = np.asarray(value)
    wanted = [sizes.get(letter, letter) for letter in letters]
    if len(array.shape) != len(wanted) or any(
        isinstance(size, int) and size != found
        for size, found in zip(wanted, array.shape, strict=True)
    ):
        raise InvalidValueError(
            f"entry {name} has shape {array.shape}, expected ({', '.join(map(str, wanted))})"
        )
    if array.dtype.kind not in "iuf" or (dtype is np.uint8 and array.dtype != np.uint8):
        kind = "uint8" if dtype is np.uint8 else "numbers"
        raise InvalidValueError(f"entry {name} is {array.dtype}, expected {kind}")
    sizes.update({k: n for k, n in zip(letters, array.shape, strict=True) if k != "*"})
    return array.astype(dtype, copy=False)
