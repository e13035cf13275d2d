"""Files of one predicted frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from htcl.datasets.labels import TRAIN_TO_RAW
from htcl.datasets.voxel_files import write_voxel_labels
from htcl.visualization import FrameResult, render_overview
from htcl.visualization.meshes import write_meshes
from htcl.visualization.result_folder import result_path

FORMATS = ("npz", "label", "ply", "png")


def check_formats(formats: Sequence[str]) -> None:
    """Raises ValueError if a format is unknown."""
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise ValueError(f"unknown formats {unknown}, expected some of {list(FORMATS)}")


def write_outputs(
    result: FrameResult,
    folder: str | Path,
    formats: Sequence[str],
    picture: np.ndarray | None = None,
) -> dict[str, str]:
    """Writes ``folder/SEQUENCE/FRAME.*``.

    Args:
        result: The predicted frame.
        folder: Root of the output.
        formats: Of 'npz' (a result file, see ``docs/visualization.md``), 'label' (official raw ids,
            uint16), 'ply' (coloured surfaces, metres; a frame without an occupied voxel has none)
            and 'png' (the picture).
        picture: The picture, if it is drawn already.

    Returns:
        Path of each file by format.

    Raises:
        ValueError: If a format is unknown.
    """
    check_formats(formats)
    stem = result_path(folder, result.sequence, result.frame).with_name(result.frame)
    stem.parent.mkdir(parents=True, exist_ok=True)
    written: dict[str, str] = {}
    if "npz" in formats:
        written["npz"] = str(result.save(f"{stem}.npz"))
    if "label" in formats:
        write_voxel_labels(f"{stem}.label", TRAIN_TO_RAW[result.prediction])
        written["label"] = f"{stem}.label"
    if "ply" in formats and result.prediction.any():
        written["ply"] = str(write_meshes(result, stem.parent)[0])
    if "png" in formats:
        picture = render_overview(result) if picture is None else picture
        Image.fromarray(picture).save(f"{stem}.png")
        written["png"] = f"{stem}.png"
    return written
