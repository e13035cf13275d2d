"""Writing pictures, and whatever a library can only write to a path, so that none is half there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from htcl.files import atomic_write


def save_picture(picture: np.ndarray, path: str | Path) -> None:
    """Writes a picture, uint8 (H, W, 3), as ``.png``."""
    with atomic_write(path) as file:
        Image.fromarray(picture).save(file, format="PNG")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Gives a path of the same name, whose file takes the place of ``path`` without an error."""
    with TemporaryDirectory() as folder:
        made = Path(folder) / Path(path).name
        yield made
        with made.open("rb") as source, atomic_write(path) as target:
            shutil.copyfileobj(source, target)
