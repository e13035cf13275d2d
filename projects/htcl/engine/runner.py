"""One way to a configured mmengine runner, shared by all command-line tools."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner, find_latest_checkpoint, load_checkpoint

from htcl.checkpoint.loading import register_checkpoint_loader
from htcl.engine.distributed import set_up_launcher


def load_config(path: str | Path, cfg_options: dict[str, Any] | None = None) -> Config:
    """Reads a config file and applies overrides.

    Args:
        path: A Python config.
        cfg_options: Overrides by dotted key, as ``--cfg-options`` gives them.

    Returns:
        The merged config.

    Raises:
        FileNotFoundError: If the file does not exist.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"config {str(path)!r} does not exist; the shipped ones lie in "
            "projects/configs/occupancy/{semantickitti,mini}"
        )
    cfg = Config.fromfile(path)
    if cfg_options:
        cfg.merge_from_dict(cfg_options)
    return cfg


def build_runner(
    cfg: Config,
    *,
    work_dir: str | Path | None = None,
    launcher: str = "none",
    checkpoint: str | Path | None = None,
) -> Runner:
    """Builds the runner of a config.

    Args:
        cfg: The config, changed in place.
        work_dir: Where logs and checkpoints go; default: see :func:`choose_work_dir`.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.
        checkpoint: Weights to load at once, every key of which must fit.

    Returns:
        The runner.

    Raises:
        FileNotFoundError: If the checkpoint, or a pretrained part to start from, does not exist.
        ValueError: If the checkpoint does not fit the config; all mismatches are listed.
    """
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise FileNotFoundError(
            f"checkpoint {str(checkpoint)!r} does not exist; pretrain/README.md says where to get "
            "or how to train one"
        )
    register_checkpoint_loader()
    cfg.work_dir = choose_work_dir(cfg, work_dir)
    set_up_launcher(cfg, launcher)
    if checkpoint is not None:
        cfg.load_from = None
        cfg.resume = False
        # All weights come from the checkpoint, so none need to be fetched first.
        for part in _parts(cfg).values():
            part.pop("init_cfg", None)
    else:
        _check_pretrained(cfg)
    runner = Runner.from_cfg(cfg)
    # A line for every parameter with a learning rate of its own hides all others.
    runner.logger.addFilter(lambda record: "paramwise_options" not in record.getMessage())
    _choose_deterministic_operators()
    if checkpoint is not None:
        try:
            # Not the runner's method: it calls EMAHook, which is not ready before the run.
            load_checkpoint(runner.model, str(checkpoint), map_location="cpu", strict=True)
        except RuntimeError as error:
            raise ValueError(
                f"checkpoint {str(checkpoint)!r} does not fit config {cfg.filename!r}:\n{error}\n"
                "Use the config that the checkpoint was trained with (its card or training log "
                "names it), and the same --cfg-options for the model."
            ) from error
    return runner


def choose_work_dir(cfg: Config, work_dir: str | Path | None = None) -> str:
    """Where logs and checkpoints go.

    Args:
        cfg: The config.
        work_dir: The user's choice.

    Returns:
        ``work_dir``, else ``cfg.work_dir``, else ``work_dirs/<config folder>/<config name>``.
    """
    if work_dir is not None:
        return str(work_dir)
    if cfg.get("work_dir") is not None:
        return cfg.work_dir
    # The folder too: configs of the same name exist at full and at mini size.
    config = Path(cfg.filename).resolve()
    return os.path.join("work_dirs", config.parent.name, config.stem)


def _parts(cfg: Config) -> dict[str, dict[str, Any]]:
    return {name: part for name, part in cfg.model.items() if isinstance(part, dict)}


def _check_pretrained(cfg: Config) -> None:
    """Looks for the files of pretrained parts; those that a checkpoint replaces may be absent."""
    has_checkpoint = cfg.get("load_from") is not None or (
        cfg.get("resume") and find_latest_checkpoint(cfg.work_dir) is not None
    )
    for name, part in _parts(cfg).items():
        file = (part.get("init_cfg") or {}).get("checkpoint")
        if file is None or "://" in file or Path(file).is_file():
            continue
        if not has_checkpoint:
            raise FileNotFoundError(
                f"pretrained weights {file!r} of model.{name} do not exist; pretrain/README.md "
                "says where to get them. Without them: --cfg-options "
                f"model.{name}.init_cfg=None, or --load-from a checkpoint of the whole network"
            )
        part.pop("init_cfg")


def _choose_deterministic_operators() -> None:
    """Makes CPU runs repeatable to the bit, in whatever order the threads work.

    CUDA has no deterministic version of some operators (the backward passes of sampling and of
    trilinear resizing), so that the same switch would end or slow down a run there.
    """
    if not torch.cuda.is_available():
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Filling fresh memory only serves to find code that reads it unwritten.
        torch.utils.deterministic.fill_uninitialized_memory = False
