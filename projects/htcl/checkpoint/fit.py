"""Loading all weights of a network, or saying part by part what does not fit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from htcl.checkpoint.loading import load_from_local
from htcl.checkpoint.released import unwrap_state_dict
from htcl.errors import InvalidValueError, listed


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
    state = unwrap_state_dict(load_from_local(str(path), "cpu"))
    misfits = list_misfits(state, network.state_dict())
    if misfits:
        raise InvalidValueError(
            f"checkpoint {str(path)!r} does not fit config {str(config)!r}:{listed(misfits)}\n"
            "Use the config that the checkpoint was trained with (its card or training log names "
            "it), and the same --cfg-options for the model."
        )
    network.load_state_dict(state)


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
