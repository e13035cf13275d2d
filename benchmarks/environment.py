"""What every benchmark prints first: machine and versions."""

from __future__ import annotations

import os
import platform

import torch
import torchvision


def describe_environment() -> str:
    """Returns one line: processor, cores, memory, accelerator, versions."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            model = next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{model}, {os.cpu_count()} cores ({torch.get_num_threads()} threads used), "
        f"{memory:.0f} GiB, {device}; Python {platform.python_version()}, torch "
        f"{torch.__version__}, torchvision {torchvision.__version__}"
    )
