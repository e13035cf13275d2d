"""Files of one predicted frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from htcl.datasets.specification import DatasetSpecification
from htcl.datasets.voxel_files import write_voxel_labels
from htcl.errors import InvalidValueError
from htcl.visualization import FrameResult, render_overview
from htcl.visualization.result_folder import result_path
from htcl.visualization.saving import save_picture

FORMATS = ("npz", "label", "ply", "png")


def check_formats(formats: Sequence[str]) -> None:
    """Raises InvalidValueError if a format is unknown."""
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise InvalidValueError(f"unknown formats {unknown}, expected some of {list(FORMATS)}")


def write_outputs(
    result: FrameResult,
    specification: DatasetSpecification,
    folder: str | Path,
    formats: Sequence[str],
    picture: np.ndarray | None = None,
) -> dict[str, str]:
    """Writes ``folder/SEQUENCE/FRAME.*``; returns the path of each file by format.

    Args:
        result: The predicted frame.
        specification: What the network predicts.
        folder: Root of the output.
        formats: Of 'npz' (a result file, see ``docs/visualization.md``), 'label' (raw ids of the
            data set, uint16), 'ply' (coloured surfaces, metres; a frame without an occupied voxel
            has none) and 'png' (the picture).
        picture: The picture, if it is drawn already.

    Raises:
        InvalidValueError: If a format is unknown.
    """
    check_formats(formats)
    stem = result_path(folder, result.sequence, result.frame).with_name(result.frame)
    written: dict[str, str] = {}
    if "npz" in formats:
        written["npz"] = str(result.save(f"{stem}.npz"))
    if "label" in formats:
        write_voxel_labels(f"{stem}.label", specification.raw_from_voxels(result.prediction))
        written["label"] = f"{stem}.label"
    if "ply" in formats and (result.prediction != result.empty_class).any():
        from htcl.visualization.meshes import write_meshes

        written["ply"] = str(write_meshes(result, stem.parent)[0])
    if "png" in formats:
        picture = render_overview(result) if picture is None else picture
        save_picture(picture, f"{stem}.png")
        written["png"] = f"{stem}.png"
    return written
