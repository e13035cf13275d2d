"""Says when a user's cameras leave what the checkpoint was trained with."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from htcl.checkpoint.loading import load_checkpoint_file
from htcl.datasets.rig_range import LIDAR_HEIGHT, outside, rig_of
from htcl.errors import InvalidValueError
from htcl.shipped import shipped_config


class RigGuard:
    """Compares the cameras of samples with those of the training.

    Each number is said once, in one line for all that leave their ranges in a sample: a video has
    the same cameras throughout.

    Args:
        trained: Ranges by number, see :mod:`htcl.datasets.rig_range`; empty if nobody knows them.
        road_z: Height of the road in the frame of the voxels, metres; NaN if it is unknown.
    """

    def __init__(self, trained: Mapping[str, list[float]], road_z: float = -LIDAR_HEIGHT) -> None:
        self.trained = trained
        self.road_z = road_z
        self._said: set[str] = set()

    def look(self, inputs: Mapping[str, Any]) -> None:
        """Warns where the cameras of a sample's inputs are others than the training's."""
        if not self.trained or len(self._said) == len(self.trained):
            return
        found = outside(rig_of(inputs, self.road_z), self.trained)
        fresh = [text for name, text in found.items() if name not in self._said]
        if fresh:
            self._said |= set(found)
            print_log(
                f"these cameras leave what the checkpoint was trained with: {'; '.join(fresh)}. "
                "Expect worse predictions: docs/own_cameras.md shows by how much, and what to do",
                logger="current",
                level=logging.WARNING,
            )


def meta_of(checkpoint: str | Path | None) -> dict[str, Any]:
    """What a checkpoint says of its training; nothing of released and bare ones."""
    if checkpoint is None or "://" in str(checkpoint):
        return {}
    meta = load_checkpoint_file(checkpoint).get("meta")
    return meta if isinstance(meta, dict) else {}


def trained_rigs(meta: Mapping[str, Any]) -> dict[str, list[float]]:
    """The ranges that a checkpoint's ``meta`` holds; none that are no pairs of numbers."""
    rigs = meta.get("rigs")
    return {
        name: [float(value) for value in pair]
        for name, pair in (rigs.items() if isinstance(rigs, dict) else ())
        if isinstance(pair, list | tuple)
        and len(pair) == 2
        and all(isinstance(value, int | float) for value in pair)
    }


def config_of(checkpoint: str | Path) -> Path:
    """The shipped config that a checkpoint names.

    The text of a config that a checkpoint carries is never used: it is a program, and whoever made
    the file wrote it.

    Raises:
        MissingFileError: If the checkpoint does not exist.
        InvalidValueError: If it names none that comes with the package.
    """
    name = meta_of(checkpoint).get("config")
    config = shipped_config(name)
    if config is None:
        said = "names no config" if name is None else f"names the config {name!r}"
        raise InvalidValueError(
            f"{str(checkpoint)!r} {said}, and only those that come with the package are taken from "
            "a checkpoint, for a config is a program: give the config that it was trained with "
            "before it"
        )
    return config
