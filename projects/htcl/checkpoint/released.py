"""Released checkpoints: which files they are, and the way to our names and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from htcl.checkpoint import released_depth, released_temporal, released_voxel
from htcl.checkpoint.key_rules import KeyRenamer, KeyRule
from htcl.errors import InvalidValueError

RULES: list[KeyRule] = [*released_depth.RULES, *released_temporal.RULES, *released_voxel.RULES]
DROPPED: dict[str, str] = {**released_depth.DROPPED, **released_temporal.DROPPED}
# Name parts that only the released detector has.
_RELEASED_ROOTS = ("img_view_transformer.", "pts_bbox_head.", "img_bev_encoder_backbone.")
_CLASSIFIER_BACKBONE = "backbone.layers."
_CONTAINER_KEYS = ("state_dict", "model_state_dict", "model", "net", "ema_state_dict")
_WRAPPER_PREFIXES = re.compile(r"^(module\.|model\.)+")
_AVERAGE_PREFIX = "ema_"


@dataclass
class ConvertedState:
    """Outcome of a conversion.

    Attributes:
        state: Entries under their new names; those that no rule knows keep their old one, so that
            a comparison with the network lists them together with all other misfits.
        dropped: Entries left out, each with the reason.
    """

    state: dict[str, Tensor]
    dropped: dict[str, str] = field(default_factory=dict)


def unwrap_state_dict(content: Mapping[str, Any], use_ema: bool = False) -> dict[str, Tensor]:
    """Finds the flat state dict in a checkpoint's content, bare or under ``state_dict`` and so on.

    mmengine stores moving averages as the ``state_dict`` (the latest weights as ``ema_state_dict``)
    and leaves nothing to choose. mmcv 1.x stores a second copy of the weights under ``ema_`` and
    their names with underscores for dots; its hooks' order decided which copy is the average,
    normally the second.

    Returns:
        Tensors by name, without wrapper prefixes and without ``ema_`` copies; with ``use_ema`` the
        copies of mmcv 1.x take the place of the plain entries.

    Raises:
        InvalidValueError: If averages are asked for and the file has none.
    """
    nested = (content[key] for key in _CONTAINER_KEYS if isinstance(content.get(key), Mapping))
    found: Mapping[str, Any] = next(nested, content)
    tensors = {
        _WRAPPER_PREFIXES.sub("", key): value
        for key, value in found.items()
        if isinstance(value, Tensor)
    }
    state = {k: v for k, v in tensors.items() if not k.startswith(_AVERAGE_PREFIX)}
    # mmengine's averaged model counts its updates beside the weights.
    state.pop("steps", None)
    if use_ema and len(state) < len(tensors):
        # Buffers (running statistics) are not averaged and have no copy.
        return {k: tensors.get(_AVERAGE_PREFIX + k.replace(".", "_"), v) for k, v in state.items()}
    if use_ema and "ema_state_dict" not in content:
        raise InvalidValueError(
            "the checkpoint holds no moving averages (neither 'ema_' entries nor an "
            "'ema_state_dict'); leave --ema out"
        )
    return state


def is_released(state: Iterable[str]) -> bool:
    """Whether the names are those of the published detector."""
    return any(key.startswith(_RELEASED_ROOTS) for key in state)


def is_image_classifier(state: Iterable[str]) -> bool:
    """Whether the names are those of an mmcls EfficientNet (the ImageNet file of the release)."""
    return any(key.startswith(_CLASSIFIER_BACKBONE) for key in state)


def convert_released(state: Mapping[str, Tensor]) -> ConvertedState:
    """Renames a released state dict, see :func:`unwrap_state_dict`, to ours."""
    rename = KeyRenamer(RULES)
    kept = {rename(key) or key: value for key, value in state.items() if key not in DROPPED}
    return ConvertedState(kept, {key: DROPPED[key] for key in state if key in DROPPED})


def convert_to_released(
    state: Mapping[str, Tensor], constants: dict[str, Tensor]
) -> ConvertedState:
    """Renames our state dict to the released names; ``constants`` are those that we do not have."""
    rename = KeyRenamer(RULES, reverse=True)
    return ConvertedState({rename(key) or key: value for key, value in state.items()} | constants)


def convert_classifier(state: Mapping[str, Tensor]) -> ConvertedState:
    """Takes the image backbone out of an mmcls EfficientNet checkpoint.

    The entries ``backbone.*`` keep their names, which ``model.img_backbone.init_cfg`` looks for;
    the classification head ``head.*`` is dropped.
    """
    kept = {key: value for key, value in state.items() if not key.startswith("head.")}
    reason = "classification head of the ImageNet network"
    return ConvertedState(kept, {key: reason for key in state if key not in kept})
