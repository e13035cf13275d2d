"""What a benchmark is: classes, colours, ids on disk, grid and splits, as data.

Head size, losses, metric, colours and file codecs follow from it. Training ids are ``uint8``: the
empty class, the scored classes (K with the empty one), and ``ignore_index`` for what is not scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from htcl.datasets.label_tables import as_raw_ids, check_known, id_table, look_up
from htcl.errors import InvalidValueError, check_choice
from htcl.files import plain_name
from htcl.geometry import VoxelGrid

# What a ready label file holds where nothing is scored, whatever the specification's own value.
_STORED_IGNORE = 255
ABSENT_CLASSES = ("zero", "left_out")
POOLING = ("majority", "occupied")
SPECIFICATIONS: dict[str, DatasetSpecification] = {}


@dataclass(frozen=True)
class DatasetSpecification:
    """The facts of a benchmark.

    Attributes:
        name: Its name, under which a config finds it.
        class_names: Name of each of the K training ids, the empty class among them.
        palette: RGB colour of each class.
        voxel_map: Raw id on disk -> training id of a voxel. Ids that are not in it are unknown.
        point_map: Raw id -> training id of a lidar point, ``empty_class`` for points of no scored
            class (a point is never empty).
        raw_ids: Raw id of each class, as a prediction file holds it.
        grid: The grid of labels and predictions.
        splits: Sequences of each split.
        label_splits: The splits that have labels.
        class_counts: Voxels of each class over the training split, for class weights; None if
            unknown.
        empty_class: Training id of free space.
        ignore_index: Training id of voxels that are not scored.
        stored_ids: Raw id of each value of a ready label file, which holds the benchmark's own
            training ids, whatever classes are merged here; by default ``raw_ids``.
        stored_grid: The grid of label files, on which the benchmark scores; by default ``grid``.
        label_beats_mask: Whether a voxel with a label is valid whatever the mask of invalid voxels
            says of it.
        scored_mask: Name of the mask of a sample's ground truth outside of which nothing is scored,
            such as ``'mask_camera'``; None scores all voxels with a class.
        absent_classes: How a class without any true voxel counts in the mIoU: ``'zero'``, as IoU 0
            (if nothing is predicted as it either), or ``'left_out'``.
        pooling: How labels become those of a coarser grid
            (:func:`~htcl.datasets.training_labels.downsample_labels`): ``'majority'`` or
            ``'occupied'``.
        release_counts: Samples of a whole split in each release of the benchmark's files, by split
            and by a name of the release.
    """

    name: str
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    voxel_map: Mapping[int, int]
    point_map: Mapping[int, int]
    raw_ids: tuple[int, ...]
    grid: VoxelGrid
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    label_splits: tuple[str, ...] = ("train", "val", "trainval")
    class_counts: tuple[float, ...] | None = None
    empty_class: int = 0
    ignore_index: int = 255
    stored_ids: tuple[int, ...] = ()
    stored_grid: VoxelGrid = None  # type: ignore[assignment]  # always set after __post_init__
    label_beats_mask: bool = False
    scored_mask: str | None = None
    absent_classes: str = "zero"
    pooling: str = "majority"
    release_counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fills in what follows and checks that the parts speak of the same classes."""
        # Plain containers, whatever a config gave.
        for key in ("class_names", "palette", "raw_ids", "label_splits"):
            object.__setattr__(self, key, tuple(getattr(self, key)))
        for key in ("voxel_map", "point_map", "splits", "release_counts"):
            object.__setattr__(self, key, dict(getattr(self, key)))
        check_choice("absent_classes", self.absent_classes, ABSENT_CLASSES)
        check_choice("pooling", self.pooling, POOLING)
        object.__setattr__(self, "stored_ids", tuple(self.stored_ids or self.raw_ids))
        if self.stored_grid is None:
            object.__setattr__(self, "stored_grid", self.grid)
        for key in ("palette", "raw_ids", "class_counts"):
            value = getattr(self, key)
            if value is not None and len(value) != self.num_classes:
                raise InvalidValueError(
                    f"specification {self.name!r}: {len(value)} entries in {key} for "
                    f"{self.num_classes} class_names; give one for each class"
                )
        allowed = {*range(self.num_classes), self.ignore_index}
        outside = sorted({*self.voxel_map.values(), *self.point_map.values()} - allowed)
        if outside:
            raise InvalidValueError(
                f"specification {self.name!r}: the maps lead to {outside}, expected ids "
                f"0..{self.num_classes - 1} or {self.ignore_index}"
            )

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the tables out: they travel with every sample, and are made again where needed."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    def __deepcopy__(self, memo: dict[int, Any]) -> DatasetSpecification:
        """Itself, which never changes: the meta information of every sample is copied."""
        return self

    @property
    def num_classes(self) -> int:
        """K, the empty class included."""
        return len(self.class_names)

    @property
    def counted_classes(self) -> tuple[int, ...]:
        """The classes whose mean is the mIoU: all but the empty one."""
        return tuple(k for k in range(self.num_classes) if k != self.empty_class)

    @property
    def has_own_grid(self) -> bool:
        """Whether scores are those of the benchmark's grid and not of another."""
        return self.grid == self.stored_grid

    @cached_property
    def colours(self) -> np.ndarray:
        """The palette, (K, 3) uint8."""
        colours = np.array(self.palette, dtype=np.uint8)
        colours.setflags(write=False)
        return colours

    def select_sequences(self, split: str, chosen: Any = None) -> tuple[str, ...]:
        """Names the sequences of a split, or those chosen instead.

        Args:
            split: One of ``splits``; InvalidValueError if it is none.
            chosen: A name, a number (8 is ``'08'``), or several; None or nothing: the split's.
        """
        check_choice("split", split, tuple(self.splits))
        # `--cfg-options sequences=08` arrives as the number 8.
        if isinstance(chosen, str) or not isinstance(chosen, Sequence):
            chosen = [chosen]
        names = tuple(str(name).zfill(2) for name in chosen if name not in (None, ""))
        for name in names:
            plain_name(name, "sequence")
        return names or tuple(self.splits[split])

    def voxels_from_raw(
        self, raw: np.ndarray, strict: bool = False, source: str | Path | None = None
    ) -> np.ndarray:
        """Maps raw ids of voxels to training ids, uint8 of the same shape.

        Args:
            raw: Integers in 0..65535 of any shape.
            strict: Refuse unknown ids instead of ignoring them (``ignore_index``).
            source: File that the ids come from, for the error message.

        Raises:
            InvalidValueError: If ``strict`` and an id is unknown, or a value does not fit.
        """
        raw = as_raw_ids(raw, source)
        if strict:
            check_known(raw, self.voxel_map, "raw label id", self.name, source)
        return look_up(self._voxel_table, raw)

    def voxels_from_stored(
        self, labels: np.ndarray, source: str | Path | None = None
    ) -> np.ndarray:
        """Maps the values of a ready label file to training ids, uint8 of the same shape.

        Args:
            labels: uint8 of any shape: indices of ``stored_ids``, 255 = not scored.
            source: File that the values come from, for the error message.

        Raises:
            InvalidValueError: If a value is no class and not 255.
        """
        known = (*range(len(self.stored_ids)), _STORED_IGNORE)
        check_known(labels, known, "training label", self.name, source)
        raw_ids = np.array(self.stored_ids, dtype=np.uint16)
        table = id_table(dict(enumerate(self._voxel_table[raw_ids])), self.ignore_index, size=256)
        return look_up(table, labels)

    def points_from_raw(
        self, raw: np.ndarray, strict: bool = False, source: str | Path | None = None
    ) -> np.ndarray:
        """Maps the labels of lidar points to training ids, (N,) uint8.

        Args:
            raw: (N,) integers, the class in the low 16 bits.
            strict: Refuse unknown ids (InvalidValueError) instead of giving them the empty class.
            source: File that the ids come from, for the error message.
        """
        semantic = (np.asarray(raw).astype(np.uint32, copy=False) & 0xFFFF).astype(np.uint16)
        if strict:
            check_known(semantic, self.voxel_map, "raw label id", self.name, source)
        return look_up(self._point_table, semantic)

    def raw_from_voxels(self, labels: np.ndarray) -> np.ndarray:
        """Raw ids, uint16, of training ids 0..K-1, as a prediction file holds them."""
        return np.array(self.raw_ids, dtype=np.uint16)[labels]

    def merged(self, groups: Mapping[str, Sequence[str]]) -> DatasetSpecification:
        """The same benchmark with classes put together.

        Args:
            groups: New class -> the old classes that it is made of. Classes that no group names
                stay as they are; a group takes the place, the colour and the raw id of its first
                member. The group ``'ignore'`` lists classes that are not scored any more.

        Raises:
            InvalidValueError: If a class is unknown, in two groups, or the empty one.
        """
        members = [name for names in groups.values() for name in names]
        unknown = sorted(set(members) - set(self.class_names))
        empty = self.class_names[self.empty_class]
        if unknown or len(set(members)) < len(members) or empty in members:
            raise InvalidValueError(
                f"specification {self.name!r}: merge={dict(groups)} names unknown classes "
                f"{unknown}, a class twice, or {empty!r}; known are {self.class_names}"
            )
        group_of = {name: group for group, names in groups.items() for name in names}
        renamed = [group_of.get(name, name) for name in self.class_names]
        firsts = {name: renamed.index(name) for name in renamed if name != "ignore"}
        new_id = {name: index for index, name in enumerate(firsts)}
        ignored = self.ignore_index
        numbers = [new_id.get(name, ignored) for name in renamed]
        renumbered = {ignored: ignored, **dict(enumerate(numbers))}
        counts = self.class_counts
        if counts is not None:
            counts = tuple(np.bincount(numbers, counts)[: len(firsts)].tolist())
        points = {raw: renumbered[old] for raw, old in self.point_map.items()}
        return replace(
            self,
            class_names=tuple(firsts),
            palette=tuple(self.palette[first] for first in firsts.values()),
            raw_ids=tuple(self.raw_ids[first] for first in firsts.values()),
            voxel_map={raw: renumbered[old] for raw, old in self.voxel_map.items()},
            point_map={
                raw: new_id[empty] if new == ignored else new for raw, new in points.items()
            },
            class_counts=counts,
            empty_class=new_id[empty],
        )

    @cached_property
    def _voxel_table(self) -> np.ndarray:
        return id_table(self.voxel_map, self.ignore_index)

    @cached_property
    def _point_table(self) -> np.ndarray:
        return id_table(self.point_map, self.empty_class)


def register_specification(specification: DatasetSpecification) -> DatasetSpecification:
    """Makes a specification known by its name; returns it."""
    SPECIFICATIONS[specification.name] = specification
    return specification


def build_specification(
    config: DatasetSpecification | str | Mapping[str, Any],
) -> DatasetSpecification:
    """Returns the specification that a config means.

    Args:
        config: A specification; the name of one; ``base`` (a name) with any of ``merge`` (see
            :meth:`DatasetSpecification.merged`), ``grid`` (see :meth:`VoxelGrid.build`;
            ``voxel_size`` alone divides the base's box anew) and attributes to replace; or, without
            ``base``, all attributes.

    Raises:
        InvalidValueError: If the name or a key is unknown.
    """
    if isinstance(config, DatasetSpecification):
        return config
    if isinstance(config, str):
        if config not in SPECIFICATIONS:
            raise InvalidValueError(
                f"specification {config!r} is unknown: choose one of {sorted(SPECIFICATIONS)}, or "
                "import the module that registers it (custom_imports)"
            )
        return SPECIFICATIONS[config]
    changes = dict(config)
    base = build_specification(changes.pop("base")) if "base" in changes else None
    if base is not None and "merge" in changes:
        base = base.merged(changes.pop("merge"))
    for key in ("grid", "stored_grid"):
        grid: Any = changes.get(key)
        if base is not None and isinstance(grid, Mapping) and set(grid) == {"voxel_size"}:
            changes[key] = base.grid.resized(grid["voxel_size"])
        elif key in changes:
            changes[key] = VoxelGrid.build(grid)
    try:
        return DatasetSpecification(**changes) if base is None else replace(base, **changes)
    except TypeError as error:
        raise InvalidValueError(f"specification {dict(config)}: {error}") from None
