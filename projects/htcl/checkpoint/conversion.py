"""Conversion of whole checkpoint files, checked against the network of a config."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import torch
from htcl.checkpoint.loading import load_checkpoint_file
from htcl.checkpoint.released import (
    ConvertedState,
    compare_states,
    convert_classifier,
    convert_released,
    convert_to_released,
    is_image_classifier,
    is_released,
    unwrap_state_dict,
)
from torch import Tensor


def convert_file(
    source: str | Path,
    target: str | Path,
    config: str | Path,
    *,
    reverse: bool = False,
    use_ema: bool = False,
) -> str:
    """Reads, converts, checks and writes a checkpoint.

    Args:
        source: Released checkpoint, one of ours, or an mmcls EfficientNet file.
        target: File to write: ``{'state_dict': ..., 'meta': ...}``, tensors and text only.
        config: Config of the network that names and shapes must fit.
        reverse: From our names to the released ones.
        use_ema: Take the moving averages where the file has them.

    Returns:
        A report: what was found, renamed and dropped, and why.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If the file is of no known kind or does not fit; every misfit is listed.
    """
    state = unwrap_state_dict(load_checkpoint_file(source), use_ema)
    network = _network_state(config)
    if reverse:
        if is_released(state):
            raise ValueError(f"{str(source)!r} has the released names already; omit --reverse")
        kind, checked, expected = "checkpoint of this project", state, network
        converted = convert_to_released(state, released_constants(config))
    elif is_released(state):
        kind, converted = "released HTCL checkpoint", convert_released(state)
        checked, expected = converted.state, network
    elif is_image_classifier(state):
        kind, converted = "mmcls EfficientNet checkpoint", convert_classifier(state)
        checked = converted.state
        expected = {k: v for k, v in network.items() if k.startswith("img_backbone.")}
    else:
        raise ValueError(
            f"{str(source)!r} is neither a released HTCL checkpoint (img_view_transformer.*) nor "
            f"an mmcls EfficientNet (backbone.layers.*); its first names are {sorted(state)[:5]}. "
            "For a checkpoint of this project give --reverse."
        )
    problems = compare_states(checked, expected)
    if problems:
        raise ValueError(
            f"{str(source)!r} ({kind}) does not fit {str(config)!r}, {len(problems)} differences:\n"
            + "\n".join(problems)
        )
    _save({"state_dict": converted.state, "meta": {"converted_from": kind}}, Path(target))
    return _report(kind, source, target, converted)


def released_constants(config: str | Path) -> dict[str, Tensor]:
    """The constants that a released state dict holds beside weights, from a config's geometry.

    Args:
        config: A config of the released graph.

    Returns:
        ``dx``, ``bx``, ``nx``, ``frustum``, the pixel grid of the plane sweep, and zeros for the
        pose network's classification layer, which nothing uses.
    """
    model = _build_model(config)
    view = model.view_transformer
    root = "img_view_transformer"
    size = torch.tensor(view.grid.size)
    lower = torch.tensor(view.grid.lower)
    frustum = view.frustum()
    bins, height, width = frustum.shape[0], frustum.shape[1] * 2, frustum.shape[2] * 2
    rows, columns = torch.meshgrid(
        torch.arange(height, dtype=torch.float32),
        torch.arange(width, dtype=torch.float32),
        indexing="ij",
    )
    sweep = f"{root}.temporal_encoder.encoder.backprojector"
    classifier = f"{root}.temporal_encoder.pose_enc.encoder.fc"
    return {
        f"{root}.dx": size,
        f"{root}.bx": lower + size / 2,
        f"{root}.nx": torch.tensor(view.grid.shape, dtype=torch.float32),
        f"{root}.frustum": frustum,
        f"{sweep}.id_coords": torch.stack([columns, rows]),
        f"{sweep}.ones": torch.ones(bins, 1, height * width),
        f"{classifier}.weight": torch.zeros(1000, 512),
        f"{classifier}.bias": torch.zeros(1000),
    }


def _build_model(config: str | Path) -> torch.nn.Module:
    from htcl.engine.runner import load_config
    from mmdet3d.registry import MODELS
    from mmengine.registry import init_default_scope

    cfg = load_config(config)
    init_default_scope(cfg.get("default_scope", "mmdet3d"))
    return MODELS.build(cfg.model)


def _network_state(config: str | Path) -> dict[str, Tensor]:
    return _build_model(config).state_dict()


def _save(content: dict, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    torch.save(content, partial)
    os.replace(partial, target)


def _report(kind: str, source: str | Path, target: str | Path, converted: ConvertedState) -> str:
    parts = Counter(key.split(".")[0] for key in converted.state)
    lines = [f"{source}: {kind}"]
    lines += [f"  {count:5d} entries in {part}" for part, count in sorted(parts.items())]
    lines += [f"  dropped {key}: {reason}" for key, reason in sorted(converted.dropped.items())]
    lines.append(f"written: {target}")
    return "\n".join(lines)
