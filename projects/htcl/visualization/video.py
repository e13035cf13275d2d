"""Pictures (H, W, 3) of a sequence as a video."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
from PIL import Image

from htcl.errors import InvalidValueError
from htcl.visualization.page import fitted_size, resize
from htcl.visualization.saving import atomic_path

# Wider animations have files of many megabytes, because GIF hardly compresses pictures.
GIF_WIDTH = 1000


def write_video(pictures: Iterable[np.ndarray], path: str | Path, fps: float = 5.0) -> Path:
    """Writes pictures as ``.mp4`` (H.264) or ``.gif``, as the path ends; returns the path.

    They are uint8 (H, W, 3), taken one by one; all are fitted into the size of the first. ``fps``
    is in pictures a second.

    Raises:
        InvalidValueError: If the ending is another one, or there is no picture.
    """
    path = Path(path)
    if path.suffix not in (".mp4", ".gif"):
        raise InvalidValueError(f"cannot write {path}: a video ends in .mp4 or .gif")
    remaining = iter(pictures)
    first = next(remaining, None)
    if first is None:
        raise InvalidValueError(f"no picture for {path}")
    height, width = first.shape[:2]
    options: dict[str, Any] = {"mode": "I", "duration": 1000 / fps, "loop": 0}
    if path.suffix == ".gif":
        scale = min(1.0, GIF_WIDTH / width)
        sheet = (round(scale * height), round(scale * width))
    else:
        # H.264 stores colours for blocks of two by two pixels.
        sheet = (height + height % 2, width + width % 2)
        options = {"fps": fps, "codec": "libx264", "quality": 8, "macro_block_size": 2}
    with atomic_path(path) as made:
        writer: Any = imageio.get_writer(made, **options)
        with writer:
            for picture in chain((first,), remaining):
                writer.append_data(_on_sheet(picture, sheet))
    return path


def _on_sheet(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if picture.shape[0] > size[0] or picture.shape[1] > size[1]:
        picture = resize(picture, fitted_size(picture.shape[:2], size))
    sheet = Image.new("RGB", (size[1], size[0]), (255, 255, 255))
    sheet.paste(Image.fromarray(picture), (0, 0))
    return np.asarray(sheet)
