"""Loaded samples kept in files that are mapped into memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from htcl import __version__
from htcl.files import atomic_write
from htcl.geometry import Camera

# The only key of what stands for a NumPy array in a file, which has tensors alone.
_ARRAY = "numpy array"


class SampleCache:
    """What the loading steps of a pipeline made of each sample, one file a sample.

    The name of a file has a hash of all that its content follows from: the steps and their
    settings, the sample's description (paths, calibration, poses), size and time of change of every
    file that the steps read, and this package's version. What has changed is loaded anew; the file
    that it no longer fits stays until somebody deletes the folder.

    Args:
        folder: Where the files lie; made if needed. A sample takes its size in memory: 3 MB for the
            mini network, 20 MB for the full-size one.
        steps: The loading steps, whose results depend on nothing but the sample.
    """

    def __init__(self, folder: str | Path, steps: Sequence[Any]) -> None:
        self.folder = Path(folder)
        self.steps = list(steps)

    def load(
        self, sample: Mapping[str, Any], compute: Callable[[Mapping[str, Any]], dict[str, Any]]
    ) -> dict[str, Any]:
        """The loaded sample, from its file or by ``compute``, which then becomes its file.

        Arrays from a file are private copies-on-write of it: they may be changed.
        """
        path = self.path(sample)
        if path.is_file():
            with torch.serialization.safe_globals([Camera]):
                added = torch.load(path, mmap=True, weights_only=True)
            return {**sample, **_unpacked(added)}
        loaded = compute(dict(sample))
        added = {key: value for key, value in loaded.items() if value is not sample.get(key)}
        with atomic_write(path) as file:
            torch.save(_packed(added), file)
        return loaded

    def path(self, sample: Mapping[str, Any]) -> Path:
        """The file of a sample, whether or not it is there."""
        files = []
        for step in self.steps:
            if hasattr(step, "required_files"):
                for alternatives in step.required_files(sample):
                    files += [name for name in alternatives if os.path.exists(name)][:1]
        states = [os.stat(name) for name in files]
        facts = (
            __version__,
            [repr(step) for step in self.steps],
            {key: value for key, value in sample.items() if key != "sample_idx"},
            [(name, s.st_size, s.st_mtime_ns) for name, s in zip(files, states, strict=True)],
        )
        # A set has no order that two processes share.
        words = repr(_ordered(facts)).encode()
        digest = hashlib.blake2b(words, digest_size=10).hexdigest()
        return self.folder / f"{sample['sequence']}_{sample['frame']}_{digest}.pt"


def _packed(value: Any) -> Any:
    """Nested data with tensors in place of NumPy arrays."""
    if isinstance(value, np.ndarray):
        return {_ARRAY: torch.from_numpy(np.ascontiguousarray(value))}
    if isinstance(value, dict):
        return {key: _packed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_packed(item) for item in value)
    return value


def _unpacked(value: Any) -> Any:
    """The opposite of :func:`_packed`."""
    if isinstance(value, dict):
        if value.keys() == {_ARRAY}:
            return value[_ARRAY].numpy()
        return {key: _unpacked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_unpacked(item) for item in value)
    return value


def _ordered(value: Any) -> Any:
    """Plain data whose text is the same in every process, and has all digits of arrays."""
    if isinstance(value, Mapping):
        return [(key, _ordered(item)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    return value
