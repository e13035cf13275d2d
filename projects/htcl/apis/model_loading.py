"""From a config and a checkpoint to a model that is ready to predict."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from mmdet3d.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from torch import nn

from htcl.checkpoint.loading import register_checkpoint_loader


def load_model(
    cfg: Any, checkpoint: str | Path | None, device: torch.device | str = "cpu"
) -> nn.Module:
    """Builds the model of a config, in evaluation mode.

    Args:
        cfg: A config with the key ``model``.
        checkpoint: Weights, ours or released ones, every key of which must fit; None keeps the
            random ones.
        device: Where the model goes.

    Returns:
        The model.

    Raises:
        FileNotFoundError: If the checkpoint does not exist.
        ValueError: If the checkpoint does not fit the config; all mismatches are listed.
    """
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise FileNotFoundError(
            f"checkpoint {str(checkpoint)!r} does not exist; pretrain/README.md says where to get "
            "or how to train one"
        )
    init_default_scope(cfg.get("default_scope", "mmdet3d"))
    model_cfg = ConfigDict(copy.deepcopy(cfg["model"]))
    # All weights come from the checkpoint, so none need to be fetched first.
    for part in model_cfg.values():
        if isinstance(part, dict):
            part.pop("init_cfg", None)
    model = MODELS.build(model_cfg)
    if checkpoint is not None:
        register_checkpoint_loader()
        try:
            load_checkpoint(model, str(checkpoint), map_location="cpu", strict=True)
        except RuntimeError as error:
            raise ValueError(
                f"checkpoint {str(checkpoint)!r} does not fit the config:\n{error}\n"
                "Use the config that the checkpoint was trained with."
            ) from error
    return model.to(device).eval()
