"""Files that come with the package: configs and the mini checkpoint."""

from __future__ import annotations

from pathlib import Path

# In an installed package they lie in its folder, in a checkout at its top.
_PLACES = (Path(__file__).resolve().parent, Path(__file__).resolve().parents[2])
# Config and checkpoint that are ready for use, by a short name.
MODELS = {"mini": ("projects/configs/occupancy/mini/htcl_plus.py", "pretrain/mini_htcl.pth")}


def find_file(path: str | Path) -> Path:
    """The file of this path in the current folder, else that of the package; ``path`` if neither.

    So ``projects/configs/occupancy/mini/htcl_plus.py`` is found from any folder.
    """
    path = Path(path)
    if path.is_file() or path.is_absolute():
        return path
    return next((place / path for place in _PLACES if (place / path).is_file()), path)
