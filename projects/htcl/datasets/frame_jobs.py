"""Runs one function over many frames in several processes and keeps going when a frame is bad."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from tqdm import tqdm

from htcl.errors import UserError

_CHUNKS_PER_PROCESS = 4
_LONGEST_CHUNK = 16


class JobResult(NamedTuple):
    """A job, what the function returned (None if it failed), and what went wrong if anything."""

    job: Any
    value: Any
    error: str | None


def run_jobs(
    function: Callable[[Any], Any],
    jobs: Sequence[Any],
    processes: int = 1,
    description: str = "",
    on_result: Callable[[JobResult], object] = lambda result: None,
) -> list[JobResult]:
    """Calls ``function(job)`` for every job, with a progress bar; results in the jobs' order.

    An exception of one job becomes its :attr:`JobResult.error`; the others go on. Neighbouring jobs
    go to the same process, so that functions may cache what neighbours share.

    Args:
        function: Picklable, such as a module-level function or a ``functools.partial`` of one.
        jobs: Picklable arguments.
        processes: Number of worker processes; 1 works in this process.
        description: Text before the progress bar.
        on_result: Called in this process with each result as it comes, in the jobs' order.

    Raises:
        concurrent.futures.process.BrokenProcessPool: If a worker process was killed, for example
            for want of memory.
    """
    call = partial(_guarded, function)
    if processes <= 1 or len(jobs) <= 1:
        return _collected(map(call, jobs), len(jobs), description, on_result)
    chunk = math.ceil(len(jobs) / (processes * _CHUNKS_PER_PROCESS))
    with ProcessPoolExecutor(max_workers=min(processes, len(jobs))) as pool:
        results = pool.map(call, jobs, chunksize=min(chunk, _LONGEST_CHUNK))
        return _collected(results, len(jobs), description, on_result)


def _collected(
    results: Iterable[JobResult],
    total: int,
    description: str,
    on_result: Callable[[JobResult], object],
) -> list[JobResult]:
    collected = []
    for result in tqdm(results, total=total, desc=description, unit="frame"):
        on_result(result)
        collected.append(result)
    return collected


def _guarded(function: Callable[[Any], Any], job: Any) -> JobResult:
    try:
        return JobResult(job, function(job), None)
    # Whatever is wrong with one frame must not cost the others.
    except Exception as error:
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        return JobResult(job, None, f"{kind}{error}")
