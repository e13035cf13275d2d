"""Loaded samples kept in files that are mapped into memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from mmengine.dataset import Compose

from htcl import __version__
from htcl.files import atomic_write
from htcl.geometry import Camera

# The only key of what stands for a NumPy array in a file, which has tensors alone.
_ARRAY = "numpy array"


class SampleCache:
    """Stands for the loading steps of a pipeline; keeps what they make, one file a sample.

    The name of a file has a hash of all that its content follows from: the steps and their
    settings, the sample's description (paths, calibration, poses), size and time of change of every
    file that the steps read, and this package's version. What has changed is loaded anew; the file
    that it no longer fits stays until somebody deletes the folder.

    Args:
        folder: Where the files lie; made if needed. A file has the size of its arrays.
        steps: The loading steps, whose results depend on nothing but the sample.
    """

    def __init__(self, folder: str | Path, steps: Sequence[Any]) -> None:
        self.folder = Path(folder)
        self.steps = Compose(steps)

    def __call__(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """The sample as the steps make it: from its file, or by them, and then into its file.

        Arrays from a file are private copies-on-write of it: they may be changed.
        """
        path = self.path(sample)
        if path.is_file():
            with torch.serialization.safe_globals([Camera]):
                added = torch.load(path, mmap=True, weights_only=True)
            return {**sample, **_nested(_array, added)}
        loaded = self.steps(dict(sample))
        added = {key: value for key, value in loaded.items() if value is not sample.get(key)}
        with atomic_write(path) as file:
            torch.save(_nested(_tensor, added), file)
        return cast("dict[str, Any]", loaded)

    def path(self, sample: Mapping[str, Any]) -> Path:
        """The file of a sample, whether or not it is there."""
        files = []
        for step in self.steps.transforms:
            if hasattr(step, "required_files"):
                for alternatives in step.required_files(sample):
                    files += [name for name in alternatives if os.path.exists(name)][:1]
        states = [os.stat(name) for name in files]
        facts = (
            __version__,
            [repr(step) for step in self.steps.transforms],
            {key: value for key, value in sample.items() if key != "sample_idx"},
            [(name, s.st_size, s.st_mtime_ns) for name, s in zip(files, states, strict=True)],
        )
        # A set has no order that two processes share.
        words = repr(_ordered(facts)).encode()
        digest = hashlib.blake2b(words, digest_size=10).hexdigest()
        return self.folder / f"{sample['sequence']}_{sample['frame']}_{digest}.pt"


def _nested(convert: Callable[[Any], Any], value: Any) -> Any:
    """Nested data with what ``convert`` makes of each part; what it changes is not entered."""
    changed = convert(value)
    if changed is not value:
        return changed
    if isinstance(value, dict):
        return {key: _nested(convert, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_nested(convert, item) for item in value)
    return value


def _tensor(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {_ARRAY: torch.from_numpy(np.ascontiguousarray(value))}
    return value


def _array(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {_ARRAY}:
        return value[_ARRAY].numpy()
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
