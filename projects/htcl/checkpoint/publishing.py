"""Small checkpoints to hand on, with a card that says how they were made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from htcl.checkpoint.loading import load_checkpoint_file
from htcl.checkpoint.released import unwrap_state_dict

# Rows of the card: key of SSCMetric, words.
_SCORES = {
    "IoU": "completion IoU",
    "mIoU": "mIoU",
    "12.8m/IoU": "completion IoU within 12.8 m",
    "12.8m/mIoU": "mIoU within 12.8 m",
    "25.6m/IoU": "completion IoU within 25.6 m",
    "25.6m/mIoU": "mIoU within 25.6 m",
}


def halve(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in float16; whole numbers stay as they are.

    Args:
        state: Tensors by name.

    Raises:
        ValueError: If a weight does not fit into float16; all such names are listed.
    """
    small = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    broken = [k for k, v in small.items() if v.is_floating_point() and not v.isfinite().all()]
    if broken:
        raise ValueError(
            f"not finite in float16 (largest number 65504): {', '.join(broken)}; a training that "
            "diverged, or weights that need float32"
        )
    return small


def publish(source: str | Path, target: str | Path) -> dict[str, Any]:
    """Writes the weights of a training checkpoint in float16, without optimiser and schedule.

    Args:
        source: Checkpoint of ``tools/train.py``.
        target: File to write; loads like any other checkpoint.

    Returns:
        What the checkpoint knows of its training: ``iter`` and ``seed``, where it says so.

    Raises:
        FileNotFoundError: If the source does not exist.
        ValueError: If a weight does not fit into float16.
    """
    checkpoint = load_checkpoint_file(source)
    meta = checkpoint.get("meta") or {}
    known = {key: meta[key] for key in ("iter", "seed") if key in meta}
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": halve(unwrap_state_dict(checkpoint)), "meta": known}, target)
    return known


def card(
    cfg: Config, meta: Mapping[str, Any], metrics: Mapping[str, float], size: int, command: str
) -> str:
    """Markdown card of a published checkpoint.

    Args:
        cfg: The config it was trained and scored with.
        meta: From :func:`publish`.
        metrics: Scores of the published file itself, in per cent, by the names of ``SSCMetric``.
        size: Bytes of the file.
        command: What trains and publishes it.
    """
    train, val = cfg.train_dataloader, cfg.test_dataloader
    name = Path(cfg.filename).as_posix()
    facts = {
        "config": f"`{name[name.rfind('projects/configs') :]}`",
        "command": f"`{command}`",
        "training": f"{meta.get('iter', '?')} steps of {train.batch_size} sample(s), "
        f"seed {meta.get('seed', '?')}",
        "training data": f"{train.dataset.data_root}, sequences "
        f"{', '.join(train.dataset.sequences)}",
        "scored on": f"sequences {', '.join(val.dataset.sequences)}, not trained on",
        "file": f"weights in float16, {size / 1e6:.2f} MB",
    }
    lines = ["| | |", "| --- | --- |"]
    lines += [f"| {title} | {fact} |" for title, fact in facts.items()]
    lines += ["", "| score | % |", "| --- | --- |"]
    lines += [f"| {words} | {metrics[key]:.2f} |" for key, words in _SCORES.items()]
    classes = [key for key in metrics if key.startswith("IoU_")]
    lines += [f"| IoU {key.removeprefix('IoU_')} | {metrics[key]:.2f} |" for key in classes]
    return "\n".join(lines) + "\n"
