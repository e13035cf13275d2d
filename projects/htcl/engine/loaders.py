"""Configs of data loaders, made ready to be built."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.registry import DATASETS

from htcl.config_keys import arguments


def prepare_loader(loader: dict[str, Any], inputs: frozenset[str]) -> dict[str, Any]:
    """A copy of a loader's config that can be built, without what contradicts ``num_workers=0``.

    Its data sets load the ``inputs`` of this name alone, unless they say themselves what they load.
    """
    loader = dict(loader)
    if not loader.get("num_workers"):
        loader.pop("persistent_workers", None)
        loader.pop("prefetch_factor", None)
    if torch.cuda.is_available():
        # From pinned memory the preprocessor's copies run beside the computation.
        loader.setdefault("pin_memory", True)
    loader["dataset"] = _with_inputs(loader["dataset"], inputs)
    return loader


def _with_inputs(dataset: Any, inputs: frozenset[str]) -> Any:
    """Reaches through data sets that wrap others."""
    if isinstance(dataset, list | tuple):
        return [_with_inputs(entry, inputs) for entry in dataset]
    if not isinstance(dataset, dict):
        return dataset
    dataset = dict(dataset)
    for wrapped in ("dataset", "datasets"):
        if wrapped in dataset:
            dataset[wrapped] = _with_inputs(dataset[wrapped], inputs)
    cls = DATASETS.get(dataset["type"])
    if cls is not None and "inputs" in arguments(cls):
        dataset.setdefault("inputs", inputs)
    return dataset


def seed_by_pass(loader: dict[str, Any]) -> dict[str, Any]:
    """A loader's config whose processes end with each pass of the data, which gives their seed.

    Processes that live on would carry random numbers into the next pass, which a resumed run could
    not know. See :func:`htcl.engine.hooks.step_seed.seed_worker`.
    """
    if not loader.get("num_workers"):
        return loader
    return {"worker_init_fn": {"type": "seed_worker"}, **loader, "persistent_workers": False}
