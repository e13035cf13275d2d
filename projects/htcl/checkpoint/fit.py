"""Loading all weights of a network, or saying part by part what does not fit."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from mmengine.logging import print_log
from mmengine.model import PretrainedInit, is_model_wrapper
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from htcl.checkpoint.loading import load_from_local
from htcl.checkpoint.released import unwrap_state_dict
from htcl.errors import InvalidValueError, listed

# The share of weights to start from that must fit if nothing else is said.
MIN_FIT = 0.95
# What of a specification a network learns, whose numbers and shapes may be those of another.
_TRAINED_FOR = ("class_names", "empty_class", "ignore_index", "grid")


def load_weights(model: nn.Module, path: str | Path, config: str | Path | None) -> None:
    """Loads a checkpoint, every entry of which must fit.

    Args:
        model: The network, alone or in a wrapper.
        path: Weights, ours or released ones.
        config: The config of the network, for the message.

    Raises:
        MissingFileError: If the file does not exist.
        InvalidValueError: If the file is no checkpoint or does not fit.
    """
    network = cast("nn.Module", model.module) if is_model_wrapper(model) else model
    content = load_from_local(str(path), "cpu")
    state = unwrap_state_dict(content)
    misfits = list_misfits(state, network.state_dict())
    if misfits:
        raise InvalidValueError(
            f"checkpoint {str(path)!r} does not fit config {str(config)!r}:{listed(misfits)}\n"
            "Use the config that the checkpoint was trained with (its card or training log names "
            "it), and the same --cfg-options for the model."
        )
    network.load_state_dict(state)
    say_other_data(content, network, path)


def say_other_data(content: Mapping[str, Any], model: nn.Module, source: str | Path) -> None:
    """Warns if a checkpoint was trained for other classes or another grid than the network's.

    Both may have the same shapes, so that the weights fit: a number of classes says nothing of
    which they are. Nothing is said of files that do not know what they were trained for.

    Args:
        content: The checkpoint.
        model: The network, alone or in a wrapper, with or without a ``specification``.
        source: Where the checkpoint comes from.
    """
    network = model.module if is_model_wrapper(model) else model
    own = getattr(network, "specification", None)
    known = ((content.get("meta") or {}).get("dataset_meta") or {}).get("specification")
    if own is None or not isinstance(known, Mapping):
        return
    # As a file holds them, with lists in the place of tuples.
    facts = {key: _plain(asdict(own)[key]) for key in _TRAINED_FOR}
    others = [key for key in _TRAINED_FOR if key in known and _plain(known[key]) != facts[key]]
    if others:
        lines = [f"{key}: {_plain(known[key])} in the file, {facts[key]} here" for key in others]
        print_log(
            f"checkpoint {str(source)!r} was trained for other data ({known.get('name')}) than "
            f"this network predicts ({own.name}):{listed(lines)}\nIts scores mean something only "
            "if that is meant.",
            logger="current",
            level=logging.WARNING,
        )


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=repr))


def check_fit(network: nn.Module, source: str, at_least: float, key: str, prefix: str = "") -> None:
    """Looks whether weights to start from belong to a network, before they are loaded.

    Args:
        network: The network or a part of it, alone or in a wrapper.
        source: File or address of the weights.
        at_least: The share that must fit, 0 to 1: of the network's entries or of the file's,
            whichever is larger. So a file with more parts than the network passes, and one with
            fewer.
        key: The config key that names the source, for the message.
        prefix: What the file's names of this part begin with.

    Raises:
        MissingFileError: If the file does not exist.
        InvalidValueError: If the file is no checkpoint or less fits; the misfit is summed up.
    """
    part = cast("nn.Module", network.module) if is_model_wrapper(network) else network
    content = CheckpointLoader.load_checkpoint(source, "cpu", logger=None)
    start = f"{prefix.rstrip('.')}." if prefix else ""
    # As mmengine reads them, which does not know as many forms as unwrap_state_dict.
    named = {
        name.removeprefix("module."): value
        for name, value in content.get("state_dict", content).items()
        if isinstance(value, Tensor)
    }
    state = {k.removeprefix(start): v for k, v in named.items() if k.startswith(start)}
    own = part.state_dict()
    fitting = sum(name in own and own[name].shape == state[name].shape for name in state)
    share = fitting / max(1, min(len(own), len(state)))
    if share < at_least:
        option = f"{key}{'_' if key == 'load_from' else '.'}min_fit={int(100 * share) / 100}"
        raise InvalidValueError(
            f"{key}={source!r}: {fitting} entries fit, of {len(state)} in the file and {len(own)} "
            f"of the network; expected {at_least:.0%} of either:"
            f"{listed(list_misfits(state, own))}\nUse weights of this network, or allow it with "
            f"--cfg-options {option}"
        )


class _CheckedPretrainedInit(PretrainedInit):
    """mmengine's, which only warns about what does not fit, however much that is.

    Its argument ``min_fit`` is the share that must, see :func:`check_fit`.
    """

    def __init__(self, *args: Any, min_fit: float = MIN_FIT, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.min_fit = min_fit

    def __call__(self, module: nn.Module) -> None:
        check_fit(module, self.checkpoint, self.min_fit, "init_cfg", self.prefix or "")
        super().__call__(module)


def register_pretrained_check() -> None:
    """Makes ``init_cfg=dict(type="Pretrained", ...)`` refuse weights of another network."""
    WEIGHT_INITIALIZERS.register_module(
        name="Pretrained", module=_CheckedPretrainedInit, force=True
    )


def compare_states(state: Mapping[str, Tensor], network: Mapping[str, Tensor]) -> list[str]:
    """Lists every difference in names and shapes of a file from a network, a line each."""
    return sorted(f"{kind}: {entry}" for kind, _, entry in _differences(state, network))


def list_misfits(state: Mapping[str, Tensor], network: Mapping[str, Tensor]) -> list[str]:
    """Sums up how a file differs from a network: a line for each part and kind of difference."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for kind, part, entry in _differences(state, network):
        found[part, kind].append(entry)
    return [
        f"{part}: {len(entries)} entries {kind}, such as {entries[0]}"
        for (part, kind), entries in found.items()
    ]


def _differences(
    state: Mapping[str, Tensor], network: Mapping[str, Tensor]
) -> Iterator[tuple[str, str, str]]:
    """Kind, part of the network, and entry (if need be with shapes) of every difference."""
    for key in dict.fromkeys([*network, *state]):
        part = key.partition(".")[0]
        if key not in state:
            yield "missing in the file", part, key
        elif key not in network:
            yield "unknown to the network", part, key
        elif (found := tuple(state[key].shape)) != (expected := tuple(network[key].shape)):
            yield "of another shape", part, f"{key}: {found} in the file, {expected} expected"
