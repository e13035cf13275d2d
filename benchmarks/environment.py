"""What every benchmark says first: machine and versions."""

from __future__ import annotations

import os
import platform
from typing import Any

import torch
import torchvision


def environment_facts() -> dict[str, Any]:
    """Machine and versions, as results keep them."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            model = next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        pass
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "cuda": torch.version.cuda or "none",
    }


def describe_environment(facts: dict[str, Any] | None = None) -> str:
    """Returns one line: processor, cores, memory, accelerator, versions.

    Args:
        facts: As :func:`environment_facts` gives them; None for this process.
    """
    known = environment_facts() if facts is None else facts
    return (
        f"{known['processor']}, {known['cores']} cores ({known['threads']} threads used), "
        f"{known['memory_gib']} GiB, {known['gpu']}; Python {known['python']}, torch "
        f"{known['torch']}, torchvision {known['torchvision']}"
    )
