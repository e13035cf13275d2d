"""A small file of streets, for a machine that they have to travel to.

Images become JPEG under their names (readers go by content), points half-precision numbers without
remission, labels of points 16-bit numbers; the rest stays, and all is compressed. So a street is
not the same afterwards: good for trainings that are compared with each other.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from htcl.files import atomic_write

# What a file's name gains in the pack if its content is another.
_HALF, _SHORT = ".f16", ".u16"
_REMISSION = 0.0


def pack_streets(
    root: Path,
    out: Path,
    sequences: Iterable[str],
    points_every: int = 3,
    quality: int = 70,
) -> list[str]:
    """Writes streets of SemanticKITTI's layout into one file.

    Args:
        root: Data root, with ``sequences/XX`` and, of lean streets, ``labels/XX``.
        out: The file, ``.tar.xz``.
        sequences: Names of the streets.
        points_every: Keeps every so many-th point of a scan.
        quality: Of the JPEG images, 1 to 95.

    Returns:
        The names of the streets that are in it.

    Raises:
        FileNotFoundError: If a street is not there.
    """
    names = list(sequences)
    for name in names:
        if not (root / "sequences" / name).is_dir():
            raise FileNotFoundError(f"{root / 'sequences' / name} does not exist: no such street")
    # Slow presets gain little: what is large here is JPEG already.
    with atomic_write(out) as file, tarfile.open(fileobj=file, mode="w:xz", preset=1) as pack:
        for name in names:
            for path in _files(root, name):
                where = path.relative_to(root).as_posix()
                for suffix, content in _packed(path, points_every, quality):
                    entry = tarfile.TarInfo(f"{where}{suffix}")
                    entry.size = len(content)
                    pack.addfile(entry, io.BytesIO(content))
    return names


def unpack_streets(pack: Path, root: Path) -> list[str]:
    """Makes the streets of a pack; returns their names."""
    with tarfile.open(pack, "r:xz") as content:
        # Nothing lands outside of the folder, whatever the names in the file are.
        content.extractall(root, filter="data")
        parts = [Path(name).parts for name in content.getnames()]
    for path in root.rglob(f"*{_HALF}"):
        points = np.fromfile(path, np.float16).reshape(-1, 3).astype(np.float32)
        scan = np.pad(points, ((0, 0), (0, 1)), constant_values=_REMISSION)
        scan.tofile(path.with_suffix(""))
        path.unlink()
    for path in root.rglob(f"*{_SHORT}"):
        np.fromfile(path, np.uint16).astype(np.uint32).tofile(path.with_suffix(""))
        path.unlink()
    return sorted({each[1] for each in parts if len(each) > 2})


def _files(root: Path, name: str) -> Iterator[Path]:
    for folder in (root / "sequences" / name, root / "labels" / name):
        yield from sorted(path for path in folder.rglob("*") if path.is_file())


def _packed(path: Path, points_every: int, quality: int) -> Iterator[tuple[str, bytes]]:
    """What becomes of a file: what its name gains, and its content."""
    folder = path.parent.name
    if path.suffix == ".png" and folder.startswith("image_"):
        jpeg = io.BytesIO()
        with Image.open(path) as image:
            image.convert("RGB").save(jpeg, "JPEG", quality=quality)
        yield "", jpeg.getvalue()
    elif folder == "velodyne":
        points = np.fromfile(path, np.float32).reshape(-1, 4)[::points_every, :3]
        yield _HALF, points.astype(np.float16).tobytes()
    elif folder == "labels" and path.suffix == ".label":
        # Instances, in the upper half, are no class.
        labels = np.fromfile(path, np.uint32)[::points_every] & 0xFFFF
        yield _SHORT, labels.astype(np.uint16).tobytes()
    else:
        yield "", path.read_bytes()
