"""Builds the parts of a network and hands each the facts that it asks for."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.registry import MODELS

from htcl.datasets.specification import DatasetSpecification
from htcl.errors import InvalidValueError
from htcl.geometry import DepthBins


def build_part(
    config: Mapping[str, Any] | None, specification: DatasetSpecification, depth_bins: DepthBins
) -> Any:
    """Builds a part and hands it the facts that its constructor takes; None stays None."""
    if config is None:
        return None
    facts = {
        "specification": specification,
        "depth_bins": depth_bins,
        "num_classes": specification.num_classes,
        "ignore_index": specification.ignore_index,
        "empty_class": specification.empty_class,
        "class_counts": specification.class_counts,
    }
    cls = MODELS.get(config["type"])
    taken: Mapping[str, Any] = {} if cls is None else inspect.signature(cls).parameters
    known = {name: value for name, value in facts.items() if name in taken}
    if said_twice := sorted(set(known) & set(config)):
        raise InvalidValueError(
            f"model: {config['type']} is given {', '.join(said_twice)}, which follows from "
            "model.specification and model.depth_bins: change it there"
        )
    return MODELS.build({**config, **known})
