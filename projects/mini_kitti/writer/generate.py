"""Makes the whole mini data set with several processes."""

from __future__ import annotations

import json
import multiprocessing
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from multiprocessing import forkserver
from pathlib import Path

from tqdm import tqdm

from htcl.errors import InvalidValueError
from htcl.files import atomic_write
from mini_kitti.street.styles import style_of
from mini_kitti.writer.sequence_writer import (
    MARKER,
    label_folder,
    num_steps,
    warm_up,
    write_sequence,
)
from mini_kitti.writer.settings import DEFAULT_SEQUENCES, HELD_OUT, MiniKittiSettings, is_test

__all__ = ["make_mini_kitti"]


def make_mini_kitti(
    root: str | Path,
    settings: MiniKittiSettings | None = None,
    sequences: Sequence[str] = DEFAULT_SEQUENCES,
    jobs: int = 1,
) -> list[str]:
    """Write the sequences that are not there yet.

    Args:
        root: Data set root.
        settings: What to make; the defaults if None.
        sequences: Names of sequences, such as '00' or '100'; what is in one does not depend on the
            others.
        jobs: Number of processes; the data does not depend on it.

    Returns:
        The sequences that were made now.

    Raises:
        InvalidValueError: If a sequence name is wrong, or a sequence folder exists that other
            settings (or somebody else) made.
    """
    root, settings = Path(root), settings or MiniKittiSettings()
    if jobs < 1:
        raise InvalidValueError(f"jobs must be at least 1, found {jobs}")
    missing = [name for name in sequences if not _is_finished(root, name, settings)]
    root.mkdir(parents=True, exist_ok=True)
    with atomic_write(root / "README.md", "w") as file:
        file.write(_readme(root, settings, sequences))
    if not missing:
        return []
    total = sum(num_steps(settings, name) for name in missing)
    with tqdm(total=total, unit="frame", desc=f"mini KITTI, {len(missing)} sequences") as bar:
        if jobs > 1:
            _start_fork_server()
        # Compile before the processes start, or each of them would.
        warm_up()
        if jobs == 1:
            for name in missing:
                write_sequence(root, name, settings, bar.update)
        else:
            _run_parallel(root, missing, settings, jobs, bar.update)
    return missing


def _is_finished(root: Path, sequence: str, settings: MiniKittiSettings) -> bool:
    if not sequence.isdecimal() or sequence != f"{int(sequence):02d}":
        raise InvalidValueError(
            f"sequence {sequence!r} is no number of two digits or more, such as '00' or '100'"
        )
    folder = root / "sequences" / sequence
    if not folder.exists():
        labels = label_folder(root, sequence)
        if labels.exists() and not (labels / MARKER).is_file():
            raise InvalidValueError(
                f"{labels} has training labels of a sequence that is not there: delete the folder, "
                "or choose another output folder; nothing was changed."
            )
        return False
    marker = folder / MARKER
    if not marker.is_file():
        raise InvalidValueError(
            f"{folder} exists but has no {MARKER}: it was not made by this program. "
            "Choose another output folder; nothing was changed."
        )
    if marker.read_text() != settings.as_json(sequence):
        raise InvalidValueError(
            f"{folder} was made with other settings (see {marker.name} in it). Delete that folder "
            "to make it again, or choose another output folder; nothing was changed."
        )
    return True


# The queue of a worker process, set once when it starts (a queue cannot travel with a task).
_reports: list[multiprocessing.Queue] = []


def _start_worker(reports: multiprocessing.Queue) -> None:
    _reports.append(reports)


def _work(root: Path, sequence: str, settings: MiniKittiSettings) -> None:
    write_sequence(root, sequence, settings, _reports[0].put)


def _start_fork_server() -> None:
    """Let the parent of the workers import this module while this process compiles.

    A fork of this process could inherit locked thread pools (ray caster, OpenMP); a fork server is
    a clean process.
    """
    multiprocessing.set_forkserver_preload([__name__])
    forkserver.ensure_running()


def _run_parallel(
    root: Path,
    sequences: list[str],
    settings: MiniKittiSettings,
    jobs: int,
    update: Callable[[int], object],
) -> None:
    context = multiprocessing.get_context("forkserver")
    reports = context.Queue()
    # Long sequences first, so that no process works alone at the end.
    order = sorted(sequences, key=lambda name: -num_steps(settings, name))
    with ProcessPoolExecutor(jobs, context, _start_worker, (reports,)) as pool:
        tasks: list[Future] = [pool.submit(_work, root, name, settings) for name in order]
        try:
            while True:
                done, waiting = wait(tasks, timeout=0.2, return_when=FIRST_EXCEPTION)
                _drain(reports, update)
                for task in done:
                    task.result()
                if not waiting:
                    break
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        _drain(reports, update)


def _drain(reports: multiprocessing.Queue, update: Callable[[int], object]) -> None:
    while True:
        try:
            update(reports.get_nowait())
        except queue.Empty:
            return


def _readme(root: Path, settings: MiniKittiSettings, sequences: Sequence[str]) -> str:
    """Describe the data set (also sequences that earlier runs made)."""
    made = {path.parent.name for path in root.glob(f"sequences/*/{MARKER}")}
    rows = []
    made_or_wanted = sorted(made | set(sequences), key=int)
    for name in made_or_wanted:
        split = "test, no labels" if is_test(name) else "labelled"
        moving = "moving traffic" if _has_traffic(root, name, settings) else "nothing moves"
        rows.append(f"| {name} | {split} | {style_of(int(name)).name} | {moving} |")
    train = [name for name in made_or_wanted if name not in HELD_OUT and not is_test(name)]
    height, width = settings.image_size
    return _README.format(
        seed=settings.seed,
        width=width,
        height=height,
        columns=settings.lidar_azimuths,
        train=",".join(train),
        table="\n".join(rows),
    )


def _has_traffic(root: Path, sequence: str, settings: MiniKittiSettings) -> bool:
    """Say whether something moves in a sequence, which an earlier run may have made."""
    marker = root / "sequences" / sequence / MARKER
    if marker.is_file():
        return bool(json.loads(marker.read_text()).get("traffic", False))
    return settings.has_traffic(sequence)


_README = """# Mini KITTI: SYNTHETIC data

Nothing here was recorded: a program drew these streets (tools/make_mini_kitti.py, seed {seed}).
The files have the layout, formats, units and label ids of SemanticKITTI, so that every program for
SemanticKITTI runs on them. Numbers measured on this data say nothing about real streets; never
quote them as SemanticKITTI results.

* Images {width} x {height} (KITTI's field of view, baseline 0.54 m), lidar 64 beams x {columns}
  columns, 10 Hz.
* Things that move have the raw ids 252 (car), 253 (bicyclist) and 254 (person). As in SemanticKITTI
  voxels gather all scans, so what moves leaves a trace along its way.
* voxels/ of a frame gathers scans from 10 m behind to 54 m ahead. Some of these scans lie before
  the first or beyond the last stored frame; they are not stored.
* To train on all labelled streets but 08 and 09, give the configs' key
  `train_sequences={train}`.
* Each sequence folder has a SYNTHETIC.json with the settings that made it.

| sequence | split | street | traffic |
| --- | --- | --- | --- |
{table}
"""
