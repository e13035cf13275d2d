"""From a config and a checkpoint to a model that is ready to predict."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from htcl.checkpoint.fit import load_weights
from htcl.engine.runner import config_errors


def load_model(
    cfg: Config, checkpoint: str | Path | None, device: torch.device | str = "cpu"
) -> nn.Module:
    """Builds the model of a config, in evaluation mode.

    Pretrained files of its parts (``init_cfg``) are not looked for: the checkpoint has all weights.

    Args:
        cfg: A config with the key ``model``.
        checkpoint: Weights, ours or released ones, every key of which must fit; None keeps the
            random ones.
        device: Where the model goes.

    Raises:
        MissingFileError: If the checkpoint does not exist.
        InvalidValueError: If the config names what does not exist, or the checkpoint does not fit.
    """
    init_default_scope(cfg.get("default_scope", "mmengine"))
    with config_errors(cfg):
        model: nn.Module = MODELS.build(cfg.model)
    if checkpoint is not None:
        load_weights(model, checkpoint, cfg.filename)
    return model.to(device).eval()
