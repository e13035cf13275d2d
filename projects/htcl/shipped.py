"""Files that come with the package: configs and the mini checkpoint; and the state of its code."""

from __future__ import annotations

from pathlib import Path

# In an installed package they lie in its folder, in a checkout at its top.
_PLACES = (Path(__file__).resolve().parent, Path(__file__).resolve().parents[2])
_CONFIGS = "projects/configs/occupancy"
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


def shipped_name(path: str | Path | None) -> str | None:
    """The path below the package of a config that comes with it; None for any other file."""
    if path is None:
        return None
    for place in _PLACES:
        name = Path(path).resolve()
        if name.is_relative_to(place / _CONFIGS) and name.is_file():
            return name.relative_to(place).as_posix()
    return None


def shipped_config(name: object) -> Path | None:
    """The config that comes with the package under this name; None if there is none.

    For names that a stranger wrote: nothing outside of the package is ever found, whatever the
    name and the current folder.
    """
    if not isinstance(name, str):
        return None
    for place in _PLACES:
        known = {
            path.relative_to(place).as_posix(): path for path in place.glob(f"{_CONFIGS}/**/*.py")
        }
        if name in known:
            return known[name]
    return None
