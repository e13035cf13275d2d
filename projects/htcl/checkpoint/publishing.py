"""Small checkpoints to hand on, with a card that says how they were made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from htcl.checkpoint.loading import load_checkpoint_file
from htcl.checkpoint.released import unwrap_state_dict
from htcl.datasets.rig_range import NUMBERS, Ranges
from htcl.datasets.specification import build_specification
from htcl.errors import InvalidValueError
from htcl.files import atomic_write
from htcl.provenance import weights_facts

# What a published file says of its training.
_KEPT = ("iter", "seed", "config", "git", "rigs")
# Rows of the card: key of SSCMetric, words.
_SCORES = {
    "IoU": "completion IoU",
    "mIoU": "mIoU",
    "12.8m/IoU": "completion IoU within 12.8 m",
    "12.8m/mIoU": "mIoU within 12.8 m",
    "25.6m/IoU": "completion IoU within 25.6 m",
    "25.6m/mIoU": "mIoU within 25.6 m",
    "in_view/IoU": "completion IoU in view",
    "in_view/mIoU": "mIoU in view",
    "out_of_view/IoU": "completion IoU out of view",
    "out_of_view/mIoU": "mIoU out of view",
}


def halve(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in float16, whole numbers as they are; InvalidValueError names those too large."""
    small = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    broken = [k for k, v in small.items() if v.is_floating_point() and not v.isfinite().all()]
    if broken:
        raise InvalidValueError(
            f"not finite in float16 (largest number 65504): {', '.join(broken)}; a training that "
            "diverged, or weights that need float32"
        )
    return small


def publish(
    source: str | Path, target: str | Path, rigs: Callable[[], Ranges] | None = None
) -> dict[str, Any]:
    """Writes the weights of a training checkpoint in float16, without optimiser and schedule.

    Args:
        source: The training checkpoint.
        target: The small file.
        rigs: Measures the ranges of the training's cameras, for a checkpoint that does not know.

    Returns:
        What the checkpoint knows of its training and the file keeps: ``iter``, ``seed``,
        ``config``, ``git`` and ``rigs``, where it says so.

    Raises:
        MissingFileError: If the source does not exist.
        InvalidValueError: If a weight does not fit into float16.
    """
    checkpoint = load_checkpoint_file(source)
    meta = checkpoint.get("meta") or {}
    known = {key: meta[key] for key in _KEPT if meta.get(key) is not None}
    if "rigs" not in known and rigs is not None:
        known["rigs"] = rigs()
    state = halve(unwrap_state_dict(checkpoint))
    with atomic_write(target) as file:
        torch.save({"state_dict": state, "meta": known}, file)
    return known


def sequences_of(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """The sequences of a data set's config: those that it lists, else those of its split."""
    specification = build_specification(dataset["specification"])
    return specification.select_sequences(dataset["split"], dataset.get("sequences"))


def check_not_trained_on(cfg: Config) -> None:
    """Raises InvalidValueError if a sequence is trained on and scored for a card."""
    trained = sequences_of(cfg.train_dataloader.dataset)
    both = sorted({*trained}.intersection(sequences_of(cfg.test_dataloader.dataset)))
    if both:
        raise InvalidValueError(
            f"config {cfg.filename!r} trains on and scores the sequences {', '.join(both)}; score "
            "others: --cfg-options test_dataloader.dataset.sequences=..."
        )


def card(
    cfg: Config, meta: Mapping[str, Any], metrics: Mapping[str, float], file: Path, command: str
) -> str:
    """Markdown card of a published checkpoint.

    Args:
        cfg: The config it was trained and scored with.
        meta: From :func:`publish`.
        metrics: Scores of the published file itself, in per cent, by the names of ``SSCMetric``.
        file: The published file.
        command: What trains and publishes it.
    """
    train, test = cfg.train_dataloader, cfg.test_dataloader
    name = Path(cfg.filename).as_posix()
    facts = {
        "config": f"`{name[name.rfind('projects/configs') :]}`",
        "command": f"`{command}`",
        "training": f"{meta.get('iter', '?')} steps of {train.batch_size} sample(s), "
        f"seed {meta.get('seed', '?')}",
        "training data": f"{train.dataset.data_root}, sequences "
        f"{', '.join(sequences_of(train.dataset))}",
        "scored on": f"sequences {', '.join(sequences_of(test.dataset))}, not trained on",
        "file": f"weights in float16, {file.stat().st_size / 1e6:.2f} MB",
        "SHA-256": f"`{weights_facts(file)['sha256']}`",
    }
    for name, (low, high) in meta.get("rigs", {}).items():
        words, unit = NUMBERS[name]
        facts[words] = f"{low:.4g} to {high:.4g} {unit}"
    lines = ["| | |", "| --- | --- |"]
    lines += [f"| {title} | {fact} |" for title, fact in facts.items()]
    lines += ["", "| score | % |", "| --- | --- |"]
    scores = {key: words for key, words in _SCORES.items() if key in metrics}
    scores |= {key: f"IoU {key[4:]}" for key in metrics if key.startswith("IoU_")}
    lines += [f"| {words} | {metrics[key]:.2f} |" for key, words in scores.items()]
    return "\n".join(lines) + "\n"
