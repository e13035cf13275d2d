"""Where a score comes from, as plain data for a JSON file."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mmengine.config import Config

from htcl import __version__
from htcl.files import atomic_write

_PACKAGES = ("torch", "torchvision", "mmengine", "mmcv", "mmdet", "mmdet3d", "timm", "numpy")
_CHUNK = 1 << 20


def program_facts() -> dict[str, Any]:
    """Command line, versions, and the revision of the program if it runs from a checkout."""
    return {
        "command": sys.argv,
        "versions": {"htcl": __version__, "python": platform.python_version(), **_versions()},
        "revision": revision_of(Path(__file__).parent),
    }


def config_facts(cfg: Config) -> dict[str, Any]:
    """Path of a config, and a SHA-256 of all that it says, overrides included."""
    said = json.dumps(cfg.to_dict(), sort_keys=True, default=repr)
    return {"file": cfg.filename, "sha256": hashlib.sha256(said.encode()).hexdigest()}


def weights_facts(path: str | Path) -> dict[str, Any]:
    """Path of a checkpoint and the SHA-256 of its bytes."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return {"file": str(path), "sha256": digest.hexdigest()}


def data_facts(dataset: Any) -> dict[str, Any]:
    """Root, split and samples by sequence of a data set of this project."""
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    counts = Counter(str(sample.get("sequence")) for sample in samples)
    return {
        "benchmark": dataset.specification.name,
        "root": str(dataset.data_root),
        "split": dataset.split,
        "samples": len(samples),
        "samples_by_sequence": dict(sorted(counts.items())),
    }


def revision_of(folder: Path) -> str:
    """Commit of the tree that a folder belongs to, with ``-dirty`` if files of it are changed.

    A folder that no repository tracks, such as that of an installed package, has none.
    """
    git = ["git", "-C", str(folder)]
    try:
        tracked = subprocess.run([*git, "ls-files"], capture_output=True, text=True, check=False)
        describe = [*git, "describe", "--always", "--dirty", "--exclude=*"]
        done = subprocess.run(describe, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown revision"
    return (tracked.stdout and done.stdout.strip()) or "unknown revision"


def write_scores(path: Path, scores: Any, provenance: dict[str, Any]) -> Path:
    """Writes scores as JSON, and beside them where they come from.

    Args:
        path: The file of the scores, ``NAME.json``.
        scores: Plain data.
        provenance: Plain data, for ``NAME.provenance.json``.

    Returns:
        The second file.
    """
    beside = path.with_suffix(".provenance.json")
    # That one first: no score is ever there without it.
    for target, content in ((beside, provenance), (path, scores)):
        with atomic_write(target, "w") as file:
            file.write(json.dumps(content, indent=2) + "\n")
    return beside


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
