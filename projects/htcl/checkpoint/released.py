"""Released checkpoints: which files they are, and the way to our names and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from htcl.checkpoint import released_depth, released_temporal, released_voxel
from htcl.checkpoint.key_rules import KeyRenamer, KeyRule
from torch import Tensor

RULES: list[KeyRule] = [*released_depth.RULES, *released_temporal.RULES, *released_voxel.RULES]
DROPPED: dict[str, str] = {
    **released_depth.DROPPED,
    **released_temporal.DROPPED,
    **released_voxel.DROPPED,
}
# Name parts that only the released detector has.
_RELEASED_ROOTS = ("img_view_transformer.", "pts_bbox_head.", "img_bev_encoder_backbone.")
_CLASSIFIER_ROOT = "backbone.layers."
_CONTAINER_KEYS = ("state_dict", "model_state_dict", "model", "net")
_WRAPPER_PREFIXES = ("module.", "model.")


@dataclass
class ConvertedState:
    """Outcome of a conversion.

    Attributes:
        state: Entries under their new names.
        dropped: Entries left out, each with the reason.
    """

    state: dict[str, Tensor]
    dropped: dict[str, str]


def unwrap_state_dict(content: Mapping[str, Any], use_ema: bool = False) -> dict[str, Tensor]:
    """Finds the flat state dict in a checkpoint's content.

    Accepts a bare state dict or one under ``state_dict`` (``model``, ``net``), the prefixes that
    data-parallel wrappers add (``module.``), and exponential moving averages: mmengine's
    ``ema_state_dict`` and the ``ema_`` buffers of mmcv 1.x.

    Args:
        content: What the file holds.
        use_ema: Take the moving averages where the file has them.

    Returns:
        Tensors by name, without wrapper prefixes and without ``ema_`` copies.
    """
    state: Mapping[str, Any] = content
    if use_ema and isinstance(content.get("ema_state_dict"), Mapping):
        state = content["ema_state_dict"]
    else:
        for key in _CONTAINER_KEYS:
            if isinstance(content.get(key), Mapping):
                state = content[key]
                break
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    for prefix in _WRAPPER_PREFIXES:
        if any(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    averages = {key: value for key, value in tensors.items() if key.startswith("ema_")}
    plain = {key: value for key, value in tensors.items() if key not in averages}
    if use_ema:
        for key in plain:
            plain[key] = averages.get("ema_" + key.replace(".", "_"), plain[key])
    # mmengine's averaged model counts its updates beside the weights.
    plain.pop("steps", None)
    return plain


def is_released(state: Iterable[str]) -> bool:
    """Whether the names are those of the published detector."""
    return any(key.startswith(_RELEASED_ROOTS) for key in state)


def is_image_classifier(state: Iterable[str]) -> bool:
    """Whether the names are those of an mmcls EfficientNet (the ImageNet file of the release)."""
    return any(key.startswith(_CLASSIFIER_ROOT) for key in state)


def convert_released(state: Mapping[str, Tensor]) -> ConvertedState:
    """Renames a released state dict to ours.

    Args:
        state: Released names, see :func:`unwrap_state_dict`.

    Returns:
        The renamed entries and the dropped constants.

    Raises:
        ValueError: If names are unknown; all of them are listed.
    """
    renamer = KeyRenamer(RULES)
    reasons = KeyRenamer([KeyRule(key, key) for key in DROPPED])
    converted, dropped, unknown = {}, {}, []
    for key, value in state.items():
        if reasons(key) is not None:
            dropped[key] = dropped_reason(key)
        elif (name := renamer(key)) is not None:
            converted[name] = value
        else:
            unknown.append(key)
    if unknown:
        raise ValueError(
            f"{len(unknown)} entries of the checkpoint belong to no part of the released network: "
            + ", ".join(sorted(unknown))
        )
    return ConvertedState(converted, dropped)


def convert_to_released(
    state: Mapping[str, Tensor], constants: Mapping[str, Tensor] | None = None
) -> ConvertedState:
    """Renames our state dict to the released names.

    Args:
        state: Our names.
        constants: Values for the released constants that our network has no entry for.

    Returns:
        The renamed entries with the constants; nothing is dropped.

    Raises:
        ValueError: If names are unknown; all of them are listed.
    """
    renamer = KeyRenamer(RULES, reverse=True)
    converted: dict[str, Tensor] = dict(constants or {})
    unknown = []
    for key, value in state.items():
        name = renamer(key)
        if name is None:
            unknown.append(key)
        else:
            converted[name] = value
    if unknown:
        raise ValueError(
            f"{len(unknown)} entries have no counterpart in the released network (was the "
            f"checkpoint trained with another config?): {', '.join(sorted(unknown))}"
        )
    return ConvertedState(converted, {})


def convert_classifier(state: Mapping[str, Tensor]) -> ConvertedState:
    """Takes the image backbone out of an mmcls EfficientNet checkpoint.

    Args:
        state: Names such as ``backbone.layers.0.conv.weight`` and ``head.fc.weight``.

    Returns:
        ``img_backbone.*`` entries; the classification head is dropped.
    """
    converted, dropped = {}, {}
    for key, value in state.items():
        if key.startswith("backbone."):
            converted[f"img_{key}"] = value
        else:
            dropped[key] = "classification head of the ImageNet network"
    return ConvertedState(converted, dropped)


def dropped_reason(key: str) -> str:
    """Why a released entry has no counterpart; the longest matching template decides."""
    matching = [t for t in DROPPED if KeyRenamer([KeyRule(t, t)])(key) is not None]
    return DROPPED[max(matching, key=len)]


def compare_states(
    actual: Mapping[str, Tensor], expected: Mapping[str, Tensor | torch.Size]
) -> list[str]:
    """Lists every difference in names and shapes between two state dicts.

    Args:
        actual: What a checkpoint holds.
        expected: What the network has.

    Returns:
        One line a difference; empty when they fit.
    """
    lines = [f"missing: {key}" for key in expected if key not in actual]
    lines += [f"unexpected: {key}" for key in actual if key not in expected]
    for key, value in expected.items():
        shape = tuple(getattr(value, "shape", value))
        if key in actual and tuple(actual[key].shape) != shape:
            lines.append(f"wrong shape: {key} is {tuple(actual[key].shape)}, expected {shape}")
    return lines
