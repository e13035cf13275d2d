"""Work in several gloo processes on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as torch_dist
import torch.multiprocessing as processes


def in_processes(count: int, work: Callable[..., Any], folder: Path, *args: Any) -> list[Any]:
    """What ``work(rank, *args)`` returns in each of several processes with a group."""
    processes.start_processes(
        _worker, (count, work, str(folder), args), nprocs=count, start_method="fork"
    )
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(count)]


def _worker(rank: int, count: int, work: Callable[..., Any], folder: str, args: Any) -> None:
    # A forked process has none of the threads of the pool that it inherits.
    torch.set_num_threads(1)
    start = f"file://{folder}/start"
    torch_dist.init_process_group("gloo", init_method=start, rank=rank, world_size=count)
    torch.save(work(rank, *args), f"{folder}/{rank}.pt")
    torch_dist.destroy_process_group()
