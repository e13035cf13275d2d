"""Distributed runs on machines without a GPU, which mmengine's launcher does not cover.

mmengine's ``pytorch`` launcher selects a CUDA device and hands ``device_ids`` to DDP. With a gloo
process group that exists already it skips the first, and a registered wrapper drops the second.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as torch_dist
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS

from htcl.errors import InvalidValueError


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """mmengine's DDP wrapper for parameters that live on the CPU; ``device_ids`` are ignored."""

    def __init__(self, *, device_ids: list[int] | None = None, **kwargs: Any) -> None:
        super().__init__(device_ids=None, **kwargs)


def set_up_launcher(cfg: Config, launcher: str) -> None:
    """Writes the launcher into ``cfg`` and, without a GPU, prepares gloo and the CPU wrapper.

    Args:
        cfg: Config of the run, changed in place.
        launcher: 'none', 'pytorch' (torchrun), 'slurm' or 'mpi'.

    Raises:
        InvalidValueError: If a CPU run is started with a launcher other than torchrun, or
            torchrun's environment variables are missing.
    """
    cfg.launcher = launcher
    if launcher == "none" or torch.cuda.is_available():
        return
    if launcher != "pytorch":
        raise InvalidValueError(
            f"launcher {launcher!r} needs CUDA devices, and torch sees none here; "
            "start CPU processes with torchrun (run.sh, tools/dist_test.sh) instead"
        )
    missing = [name for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR") if name not in os.environ]
    if missing:
        raise InvalidValueError(
            f"--launcher pytorch, but {', '.join(missing)} not set: start with torchrun, "
            "e.g. `bash run.sh CONFIG 2`"
        )
    if not torch_dist.is_initialized():
        seconds = cfg.get("env_cfg", {}).get("dist_cfg", {}).get("timeout")
        timeout = None if seconds is None else timedelta(seconds=seconds)
        torch_dist.init_process_group(backend="gloo", timeout=timeout)
    wrapper = {"type": "CPUDistributedDataParallel", "broadcast_buffers": False}
    wrapper["find_unused_parameters"] = cfg.get("find_unused_parameters", False)
    cfg.model_wrapper_cfg = wrapper
