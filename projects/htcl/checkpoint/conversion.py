"""Conversion of whole checkpoint files, checked against the network of a config."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor

from htcl.checkpoint.fit import compare_states
from htcl.checkpoint.loading import load_checkpoint_file
from htcl.checkpoint.released import (
    ConvertedState,
    convert_classifier,
    convert_released,
    convert_to_released,
    is_image_classifier,
    is_released,
    unwrap_state_dict,
)
from htcl.config import load_config
from htcl.datasets.specification import build_specification
from htcl.errors import InvalidValueError
from htcl.files import atomic_write
from htcl.geometry import Camera, DepthBins

_VIEW = "img_view_transformer"
_SWEEP = f"{_VIEW}.temporal_encoder.encoder.backprojector"
_CLASSIFIER = f"{_VIEW}.temporal_encoder.pose_enc.encoder.fc"


def convert_file(
    source: str | Path, target: str | Path, config: str | Path, *, reverse: bool, use_ema: bool
) -> str:
    """Reads, converts, checks and writes a checkpoint; reports what was renamed and dropped, why.

    Args:
        source: Released checkpoint, one of ours, or an mmcls EfficientNet file.
        target: File to write: ``{'state_dict': ..., 'meta': ...}``, tensors and text only.
        config: Config of the network that names and shapes must fit.
        reverse: From our names to the released ones.
        use_ema: Take the moving averages of an mmcv 1.x file.

    Raises:
        MissingFileError: If a file does not exist.
        InvalidValueError: If the file is of no known kind or does not fit; every misfit is listed.
    """
    state = unwrap_state_dict(load_checkpoint_file(source), use_ema)
    if not reverse and not is_released(state) and not is_image_classifier(state):
        raise InvalidValueError(
            f"{str(source)!r} is neither a released HTCL checkpoint (img_view_transformer.*) nor "
            f"an mmcls EfficientNet (backbone.layers.*); its first names are {sorted(state)[:5]}. "
            "A checkpoint of this project needs no conversion, except back, with --reverse."
        )
    if reverse and is_released(state):
        raise InvalidValueError(
            f"{str(source)!r} has the released names already; leave --reverse out"
        )
    cfg = load_config(config)
    network = network_state(cfg)
    if reverse:
        kind = "checkpoint of this project"
        problems = compare_states(state, network)
        converted = convert_to_released(state, released_constants(cfg))
    elif is_released(state):
        kind, converted = "released HTCL checkpoint", convert_released(state)
        problems = compare_states(converted.state, network)
        problems += _compare_constants(state, released_constants(cfg))
    else:
        kind, converted = "mmcls EfficientNet checkpoint", convert_classifier(state)
        ours = "img_backbone."
        backbone = {k.removeprefix("img_"): v for k, v in network.items() if k.startswith(ours)}
        problems = compare_states(converted.state, backbone)
    if problems:
        raise InvalidValueError(
            f"{str(source)!r} ({kind}) does not fit {str(config)!r}, {len(problems)} differences:\n"
            + "\n".join(problems)
        )
    with atomic_write(target) as file:
        torch.save({"state_dict": converted.state, "meta": {"converted_from": kind}}, file)
    return _report(kind, source, target, converted)


def network_state(cfg: Config) -> dict[str, Tensor]:
    """Names and shapes of a config's network: its state dict, untrained."""
    init_default_scope(cfg.default_scope)
    return MODELS.build(cfg.model).state_dict()


def released_constants(cfg: Config) -> dict[str, Tensor]:
    """The constants that a released state dict holds beside weights, from a config's geometry.

    These are ``dx``, ``bx``, ``nx``, ``frustum``, the pixel grid of the plane sweep, and zeros for
    the pose network's classification layer, which nothing uses.
    """
    view = cfg.model.view_transformer
    grid = build_specification(cfg.specification).grid.resized(view.voxel_size)
    size, lower = torch.tensor(grid.voxel_size), torch.tensor(grid.origin)
    depths = DepthBins.build(cfg.depth_bins).values()
    height, width = cfg.input_size
    eye = torch.eye(4)
    camera = Camera(eye, eye, torch.eye(3), eye, (height, width), cfg.pixels)
    # The released sweep works on a map of a quarter of the image size.
    rows, columns = torch.meshgrid(
        torch.arange(height // 4, dtype=torch.float32),
        torch.arange(width // 4, dtype=torch.float32),
        indexing="ij",
    )
    planes = cfg.model.temporal.get("num_planes") or len(depths)
    return {
        f"{_VIEW}.dx": size,
        f"{_VIEW}.bx": lower + size / 2,
        f"{_VIEW}.nx": torch.tensor(grid.shape, dtype=torch.float32),
        f"{_VIEW}.frustum": camera.frustum((height // 8, width // 8), depths).float(),
        f"{_SWEEP}.id_coords": torch.stack([columns, rows]),
        f"{_SWEEP}.ones": torch.ones(planes, 1, rows.numel()),
        f"{_CLASSIFIER}.weight": torch.zeros(1000, 512),
        f"{_CLASSIFIER}.bias": torch.zeros(1000),
    }


def _compare_constants(state: Mapping[str, Tensor], constants: Mapping[str, Tensor]) -> list[str]:
    """Lists geometric constants of a file that contradict the config, which replaces them."""
    lines = []
    for key, expected in constants.items():
        found = state.get(key)
        if found is None or key.startswith(_CLASSIFIER):
            continue
        if found.shape != expected.shape:
            shape, wanted = tuple(found.shape), tuple(expected.shape)
            lines.append(f"wrong constant: {key} is {shape}, the config's geometry gives {wanted}")
        elif not torch.allclose(found.float(), expected, rtol=1e-5, atol=1e-4):
            difference = (found.float() - expected).abs().max()
            lines.append(
                f"wrong constant: {key} differs from the config's geometry by {difference:.4g}"
            )
    return lines


def _report(kind: str, source: str | Path, target: str | Path, converted: ConvertedState) -> str:
    parts = Counter(key.split(".")[0] for key in converted.state)
    lines = [f"{source}: {kind}"]
    lines += [f"  {count:5d} entries in {part}" for part, count in sorted(parts.items())]
    lines += [f"  dropped {key}: {reason}" for key, reason in sorted(converted.dropped.items())]
    lines.append(f"written: {target}")
    return "\n".join(lines)
