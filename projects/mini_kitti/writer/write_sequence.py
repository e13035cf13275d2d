"""Makes one sequence in any layout; it appears under its name only when it is complete."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from htcl.datasets.kitti360_layout import DRIVES, drive_name
from htcl.datasets.nuscenes_occupancy import LABELS as OPENOCCUPANCY_FOLDER
from htcl.datasets.voxelizer import voxelize
from mini_kitti.sensors.rendering import render_image
from mini_kitti.sensors.view import View
from mini_kitti.writer.kitti360_writer import Kitti360Writer
from mini_kitti.writer.nuscenes_writer import (
    GTS,
    OCCUPANCY,
    NuScenesWriter,
    scene_name,
    scene_token,
)
from mini_kitti.writer.sequence_writer import READY, SequenceWriter
from mini_kitti.writer.settings import KITTI360, NUSCENES, MiniKittiSettings

__all__ = [
    "MARKER",
    "label_folder",
    "num_steps",
    "sequence_folder",
    "warm_up",
    "write_sequence",
]

MARKER = "SYNTHETIC.json"


def num_steps(settings: MiniKittiSettings, sequence: str) -> int:
    """Return how often write_sequence reports progress."""
    frames = settings.num_frames(sequence)
    labels = len(range(0, frames, settings.label_every))
    return 2 * labels if settings.layout == NUSCENES else frames + labels


def write_sequence(
    root: Path,
    sequence: str,
    settings: MiniKittiSettings,
    progress: Callable[[int], object] = lambda steps: None,
) -> Path:
    """Write a sequence; it appears under its name only when it is complete.

    Args:
        root: Data set root; files go to :func:`sequence_folder` (and ``root/labels/XX``).
        sequence: Its name.
        settings: What to make.
        progress: Called with the number of steps just done.

    Returns:
        The folder of the sequence.
    """
    final = sequence_folder(root, sequence, settings)
    partial = final.with_name(f".{sequence}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    writers = {KITTI360: Kitti360Writer, NUSCENES: NuScenesWriter}
    writer = writers.get(settings.layout, SequenceWriter)
    writer(partial, sequence, settings, progress).write()
    record = settings.as_json(sequence)
    ready, labels = partial / READY, label_folder(root, sequence)
    if (labels / MARKER).is_file():
        # Of a sequence that was deleted or broken off: readers would prefer them.
        shutil.rmtree(labels)
    if ready.is_dir():
        (ready / MARKER).write_text(record)
        labels.parent.mkdir(exist_ok=True)
        ready.rename(labels)
    if settings.layout == NUSCENES:
        for part, place in _label_places(root, partial, final.name).items():
            shutil.rmtree(place, ignore_errors=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            part.rename(place)
    # The folder of the sequence comes last: it says that all is there.
    (partial / MARKER).write_text(record)
    partial.rename(final)
    return final


def sequence_folder(root: Path, sequence: str, settings: MiniKittiSettings) -> Path:
    """Return where the files of a sequence lie."""
    if settings.layout == KITTI360:
        return root / DRIVES / drive_name(sequence)
    if settings.layout == NUSCENES:
        return root / "samples" / scene_name(int(sequence))
    return root / "sequences" / sequence


def _label_places(root: Path, partial: Path, scene: str) -> dict[Path, Path]:
    """Where the folders of labels of an unfinished scene belong, if it has some."""
    token = scene_token(partial)
    places = {GTS: root / "gts" / scene, OCCUPANCY: root / OPENOCCUPANCY_FOLDER / f"scene_{token}"}
    return {partial / name: place for name, place in places.items() if (partial / name).is_dir()}


def label_folder(root: Path, sequence: str) -> Path:
    """Return where the ready training labels of a sequence lie."""
    return root / "labels" / sequence


def warm_up() -> None:
    """Compile what is compiled (the compiler keeps it on disk)."""
    settings = MiniKittiSettings(frames=1, image_size=(16, 52), lidar_azimuths=16, traffic=1.0)
    writer = SequenceWriter(Path(), "00", settings, lambda steps: None)
    view = View(writer.rig, "P2", writer.poses(np.zeros(1))[0])
    render_image(writer.scene, writer.light, view, np.random.default_rng(0))
    empty = np.zeros((1, 3), dtype=np.float32), np.zeros(1, dtype=np.uint32), np.eye(4)
    voxelize([empty], np.eye(4), 0)
