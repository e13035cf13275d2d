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
from mini_kitti.writer.kitti360_writer import write_calibration
from mini_kitti.writer.nuscenes_writer import write_tables
from mini_kitti.writer.settings import (
    DEFAULT_SEQUENCES,
    HELD_OUT,
    KITTI360,
    KITTI360_HELD_OUT,
    KITTI360_SEQUENCES,
    NUSCENES,
    MiniKittiSettings,
    is_test,
)
from mini_kitti.writer.write_sequence import (
    MARKER,
    label_folder,
    num_steps,
    sequence_folder,
    warm_up,
    write_sequence,
)

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
    if settings.layout == KITTI360:
        write_calibration(root, settings)
    with atomic_write(root / "README.md", "w") as file:
        file.write(_readme(root, settings, sequences))
    if not missing:
        if settings.layout == NUSCENES:
            write_tables(root)
        return []
    total = sum(num_steps(settings, name) for name in missing)
    with tqdm(
        total=total, unit="frame", desc=f"{len(missing)} street{'s' * (len(missing) != 1)}"
    ) as bar:
        if jobs > 1:
            _start_fork_server()
        # Compile before the processes start, or each of them would.
        warm_up()
        if jobs == 1:
            for name in missing:
                write_sequence(root, name, settings, bar.update)
        else:
            _run_parallel(root, missing, settings, jobs, bar.update)
    if settings.layout == NUSCENES:
        write_tables(root)
    return missing


def _is_finished(root: Path, sequence: str, settings: MiniKittiSettings) -> bool:
    if not sequence.isdecimal() or sequence != f"{int(sequence):02d}":
        raise InvalidValueError(
            f"sequence {sequence!r} is no number of two digits or more, such as '00' or '100'"
        )
    if settings.layout == KITTI360 and sequence not in KITTI360_SEQUENCES:
        raise InvalidValueError(
            f"sequence {sequence!r} is no drive of KITTI-360: choose of "
            f"{', '.join(KITTI360_SEQUENCES)}"
        )
    folder = sequence_folder(root, sequence, settings)
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
    markers = sequence_folder(root, "00", settings).parent.glob(f"*/{MARKER}")
    made = {json.loads(path.read_text())["sequence"] for path in markers}
    rows = []
    made_or_wanted = sorted(made | set(sequences), key=int)
    for name in made_or_wanted:
        split = "test, no labels" if is_test(name) else "labelled"
        moving = "moving traffic" if _has_traffic(root, name, settings) else "nothing moves"
        rows.append(f"| {name} | {split} | {style_of(int(name)).name} | {moving} |")
    held_out = KITTI360_HELD_OUT if settings.layout == KITTI360 else HELD_OUT
    train = [name for name in made_or_wanted if name not in held_out and not is_test(name)]
    height, width = settings.image_size
    text = {KITTI360: _KITTI360_README, NUSCENES: _NUSCENES_README}.get(settings.layout, _README)
    return text.format(
        seed=settings.seed,
        width=width,
        height=height,
        columns=settings.lidar_azimuths,
        train=",".join(train),
        table="\n".join(rows),
    )


def _has_traffic(root: Path, sequence: str, settings: MiniKittiSettings) -> bool:
    """Say whether something moves in a sequence, which an earlier run may have made."""
    marker = sequence_folder(root, sequence, settings) / MARKER
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

_KITTI360_README = """# Mini KITTI-360: SYNTHETIC data

Nothing here was recorded: a program drew these streets (tools/make_mini_kitti.py --layout kitti360,
seed {seed}). The files have the layout, formats, units and label ids of SSCBench-KITTI-360, so that
every program for it runs on them. Numbers measured on this data say nothing about real streets;
never quote them as KITTI-360 results.

* Images {width} x {height} (KITTI-360's field of view, baseline 0.594 m), lidar 64 beams x
  {columns} columns, 10 Hz, only of the frames with voxels (the benchmark itself has none).
* Frames have no holes. Voxels gather all scans, so what moves leaves a trace along its way.
* To train on all drives but 06 and 09, give the configs' key `train_sequences={train}`.
* Each drive's folder has a SYNTHETIC.json with the settings that made it.

| drive | split | street | traffic |
| --- | --- | --- | --- |
{table}
"""

_NUSCENES_README = """# Mini nuScenes: SYNTHETIC data

Nothing here was recorded: a program drew these streets (tools/make_mini_nuscenes.py, seed {seed}).
The files have the tables, formats and units of nuScenes, the labels those of OpenOccupancy and of
Occ3D, so that every program for them runs on them. Numbers measured on this data say nothing about
real streets; never quote them as results of one of these.

* Six images of {width} x {height} around the car (nuScenes' places and fields of view, each at its
  own time), lidar 64 beams x {columns} columns, key frames alone: there are no sweeps.
* v1.0-streets has the tables, and splits.json which scenes are for what. Files of a scene lie in
  one folder below samples/. Poses know the height of the road.
* nuScenes-Occupancy/ and gts/ have the labels of both benchmarks. Fences are of the class barrier;
  traffic cones, trailers and construction vehicles do not occur. Voxels gather many scans; what
  moves is in them as the frame's own scan sees it.
* Streets are those of the other layouts: {train} are for training.

| street | split | kind | traffic |
| --- | --- | --- | --- |
{table}
"""
